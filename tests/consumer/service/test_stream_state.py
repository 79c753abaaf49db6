"""From an app's losses to the sink that tells them: numbered = written + dropped + on the way + unexplained."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from flowise_telemetry import Limits, Telemetry
from flowise_telemetry_consumer import Consumer, ConsumerCounters, ConsumerSettings, redrive, replay
from flowise_telemetry_consumer.dead_letters.letter_filter import LetterFilter
from flowise_telemetry_consumer.loss import loss_of
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_schemas import Catalog, ToolCreated, catalog
from flowise_telemetry_transport import InMemoryBroker, TopicSpec
from flowise_telemetry_transport.topics import EVENTS_TOPIC
from tests.consumer.world import SameThread, StopWhen

SETTINGS = ConsumerSettings(topic=EVENTS_TOPIC, group="loss")
EVENT = ToolCreated(tool_id="0e0f0a0b-1c2d-4e3f-8a9b-0123456789ab", tool_name="get_weather")


@pytest.fixture
def broker() -> InMemoryBroker:
    made = InMemoryBroker()
    for topic in (EVENTS_TOPIC, SETTINGS.dead_letter_topic):
        made.open_admin().create_topic(TopicSpec(topic, 1))
    return made


@pytest.fixture
def app(broker: InMemoryBroker, tmp_path: Path) -> Telemetry:
    """Eleven events: one invalid, four refused, and two of the six others lost between broker and sink."""
    telemetry = Telemetry(
        app_version="3.0.1",
        environ={"FLOWISE_TELEMETRY_CONFIG_DIR": str(tmp_path / "config")},
        env_file=tmp_path / "none",
        limits=Limits(buffer_max_events=6),
        writer_factory=broker.open_writer,
    )
    broker.down = True
    telemetry.send_telemetry(None)  # type: ignore[arg-type]
    for _ in range(10):
        telemetry.send_telemetry(EVENT)
    broker.down = False
    assert telemetry.flush(20.0)
    telemetry.close(timeout_seconds=20.0)
    (tp,) = broker.open_reader().partitions_of(EVENTS_TOPIC)
    broker.remove_records(tp, [2, 4])
    return telemetry


def consumed(broker: InMemoryBroker, url: str, schemas: Catalog | None = None) -> ConsumerCounters:
    reader = broker.open_reader(group=SETTINGS.group)
    (tp,) = reader.partitions_of(EVENTS_TOPIC)
    committed = broker.group(SETTINGS.group).committed
    consumer = Consumer(
        reader, open_sink(url), broker.open_writer(), schemas or catalog(), SETTINGS, sink_thread=SameThread()
    )
    consumer.run(StopWhen(lambda: committed.get(tp, 0) >= reader.end_offsets([tp])[tp], turns=100_000))
    reader.close()
    return consumer.counters


def loss(path: Path) -> tuple[int, ...]:
    """Streams, and their numbered, written, dropped, on the way, unexplained."""
    with closing(open_sink(f"sqlite:///{path}")) as sink:
        answer = loss_of(sink, now_ms=0)
    its = answer.total
    return answer.streams, its.numbered, its.written, sum(its.dropped.values()), its.on_the_way, its.unexplained


@pytest.mark.slow
@pytest.mark.usefixtures("app")
def test_the_sink_alone_tells_what_was_lost_and_where(broker: InMemoryBroker, tmp_path: Path) -> None:
    counters = consumed(broker, f"sqlite:///{tmp_path}/events.db")
    assert counters.written == {"tool_created": 4}
    assert counters.control == {"stream_state": 1}
    assert counters.consumed == 5
    assert loss(tmp_path / "events.db") == (1, 11, 4, 5, 0, 2)
    again = consumed(broker, f"sqlite:///{tmp_path}/events.db")
    assert (again.written, again.control) == ({}, {})
    assert loss(tmp_path / "events.db") == (1, 11, 4, 5, 0, 2)


@pytest.mark.usefixtures("app")
def test_a_replay_gives_the_same(broker: InMemoryBroker, tmp_path: Path) -> None:
    sink = open_sink(f"sqlite:///{tmp_path}/new.db")
    result = replay(broker.open_reader(), sink, catalog(), EVENTS_TOPIC)
    sink.close()
    assert result.written == {"tool_created": 4, "stream_state": 1}
    assert loss(tmp_path / "new.db") == (1, 11, 4, 5, 0, 2)


@pytest.mark.slow
@pytest.mark.usefixtures("app")
def test_a_consumer_that_does_not_know_it_yet_makes_it_a_dead_letter(broker: InMemoryBroker, tmp_path: Path) -> None:
    before = Catalog(tuple(schema for schema in catalog() if not schema.control))
    url = f"sqlite:///{tmp_path}/events.db"
    assert consumed(broker, url, before).dead == {"unknown_fingerprint": 1}
    sink = open_sink(url)
    sink.prepare(list(catalog()))
    chosen = LetterFilter.of(catalog())
    result = redrive(
        broker.open_reader(group="redrive"), sink, broker.open_writer(), catalog(), SETTINGS.dead_letter_topic,
        group=SETTINGS.group, chosen=chosen,
    )  # fmt: skip
    sink.close()
    assert result.written == {"stream_state": 1}
    assert loss(tmp_path / "events.db") == (1, 11, 4, 5, 0, 2)


def test_without_such_records_there_is_a_table_and_nothing_in_it(broker: InMemoryBroker, tmp_path: Path) -> None:
    consumed(broker, f"sqlite:///{tmp_path}/events.db")
    assert loss(tmp_path / "events.db") == (0,) * 6
