"""The consumer against the broker and the databases of the ladder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowise_telemetry_consumer import list_dead_letters, replay
from flowise_telemetry_consumer.dead_letters.headers import decode
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import open_reader
from flowise_telemetry_transport.types import Headers
from tests.consumer.decoding.test_decoder import BAD
from tests.consumer.service.running import Service, wait_until
from tests.consumer.sinks.roles import open_claimed
from tests.consumer.tcp_door import postgres_door
from tests.services.kafka import KafkaService
from tests.thoroughness import KILL_ROUNDS

HEADERS: Headers = (("trace", b"1"), ("trace", b"2"), ("empty", b""))


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "flowise_telemetry")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'events.db'}"


Start = Callable[..., Service]


CLIENTS = ("kafka-python", "librdkafka")


@pytest.fixture(params=CLIENTS)
def start(request: pytest.FixtureRequest, kafka: KafkaService) -> Iterator[Start]:
    """Create the topics for a sink; ``roomy`` ones take records over 1 MiB."""
    made: list[Service] = []

    def start(url: str, *, roomy: bool = False) -> Service:
        if roomy:
            topics = [kafka.new_topic(max_message_bytes="4194304"), kafka.new_topic(max_message_bytes="8388608")]
        else:
            topics = [kafka.new_topic(), kafka.new_topic()]
        made.append(Service(kafka, url, topic=topics[0], dlq=topics[1], client=request.param))
        return made[-1]

    yield start
    for service in made:
        service.sink.close()


def all_committed(it: Service) -> bool:
    return it.committed() == it.ends


@pytest.mark.real_broker
def test_every_kind_of_bad_record_lands_once(start: Start, new_postgres_url: str) -> None:
    it = start(new_postgres_url, roomy=True)
    it.send(range(200), bad=[(value, (*HEADERS, ("kind", kind.encode()))) for kind, (value, _, _) in BAD.items()])
    with it.consumer() as counters:
        wait_until(lambda: counters.consumed >= 200 + len(BAD), "all consumed")
    assert set(it.event_ids()) == it.accepted
    assert len(it.event_ids()) == 200
    dead = it.dead_records()
    assert len(dead) == len(BAD)
    seen = {}
    for record in dead:
        letter = decode(record)
        kind = (dict(record.headers)["kind"] or b"").decode()
        assert record.headers[:4] == (*HEADERS, ("kind", kind.encode()))
        assert record.key == b"bad"
        assert (record.value, letter.reason, letter.schema) == BAD[kind]
        assert letter.source_topic == it.topic
        assert letter.source_timestamp_ms is not None
        assert letter.source_timestamp_ms <= record.timestamp_ms
        seen[kind] = letter.source
    assert len(set(seen.values())) == len(BAD)
    assert all_committed(it)

    reader = open_reader(it.kafka.settings(client=it.client))
    summary = list_dead_letters(reader, it.dlq)
    assert (summary.total, summary.repeats, summary.incomplete) == (len(BAD), 0, None)
    reader.close()


@pytest.mark.parametrize("start", CLIENTS if KILL_ROUNDS > 4 else CLIENTS[:1], indirect=True)
def test_a_killed_consumer_leaves_exactly_the_accepted_events(start: Start, sqlite_url: str) -> None:
    it = start(sqlite_url)
    events = 200 * KILL_ROUNDS
    it.send(range(events))
    for round_ in range(KILL_ROUNDS):
        process = it.process()
        assert process.stdout is not None
        for _ in range(3 - round_ % 2):
            assert process.stdout.readline(), "the process ended by itself"
        process.kill()
        process.wait()
        process.stdout.close()
    assert 0 < sum(it.sink.counts().values()) < events
    it.send(range(events, events + 50))
    with it.consumer() as counters:
        wait_until(it.all_written, "all written")
    assert counters.written.total() > 0
    assert sorted(it.event_ids()) == sorted(it.accepted)
    assert all_committed(it)


@pytest.mark.real_broker  # the embedded one refuses commits as soon as a rebalance begins
@pytest.mark.parametrize(
    ("start", "options"),
    [
        ("kafka-python", {}),
        ("librdkafka", {}),
        ("librdkafka", {"partition_assignment_strategy": "cooperative-sticky"}),
        ("librdkafka", {"group_protocol": "consumer"}),
    ],
    indirect=["start"],
    ids=["kafka-python", "librdkafka", "cooperative", "consumer protocol"],
)
def test_a_rebalance_loses_and_doubles_nothing(start: Start, options: dict[str, str], new_postgres_url: str) -> None:
    it = start(new_postgres_url)
    it.options = options
    it.send(range(300), bad=[(b"bad", ())])
    with it.consumer(rows=50) as first:
        wait_until(lambda: first.consumed >= 50, "the first has begun")
        with it.consumer(rows=50) as second:
            numbers = range(300, 600)
            it.send(numbers)
            wait_until(lambda: first.consumed + second.consumed >= 601, "all consumed")
        it.send(range(600, 700))
        wait_until(it.all_written, "all written")
    assert sorted(it.event_ids()) == sorted(it.accepted)
    assert first.written.total() + second.written.total() == 700
    assert first.duplicates.total() + second.duplicates.total() == 0
    assert len(it.dead_records()) == 1
    assert all_committed(it)


def test_a_consumer_whose_partitions_were_claimed_joins_again(start: Start, sqlite_url: str) -> None:
    it = start(sqlite_url)
    it.send(range(100))
    other = open_claimed(sqlite_url)
    other.prepare(catalog())
    with it.consumer(rows=20) as counters:
        wait_until(it.all_written, "the first hundred written")
        other.claim(it.group, list(it.ends))
        it.send(range(100, 200))
        wait_until(it.all_written, "all written")
        wait_until(lambda: counters.consumed >= 200, "all consumed")
    assert counters.rebalances >= 2
    assert sorted(it.event_ids()) == sorted(it.accepted)
    assert counters.written.total() == 200
    assert all_committed(it)
    other.close()


def test_a_database_that_goes_away_is_waited_for(start: Start, new_postgres_url: str) -> None:
    door, through_door = postgres_door(new_postgres_url)
    it = start(new_postgres_url)
    it.send(range(100), bad=[(b"bad", ())])
    with it.consumer(url=through_door) as counters:
        wait_until(it.all_written, "the first hundred written")
        door.shut()
        it.send(range(100, 300), bad=[(b"bad", ())])
        wait_until(lambda: counters.retries >= 3, "the outage is noticed")
        assert counters.outage is not None
        assert sum(it.sink.counts().values()) == 100
        door.open()
        wait_until(it.all_written, "all written after the outage")
    door.shut()
    assert sorted(it.event_ids()) == sorted(it.accepted)
    assert counters.dead == {"unknown_framing": 2}
    assert len(it.dead_records()) == 2
    assert all_committed(it)


def test_a_replay_fills_a_second_sink(start: Start, sqlite_url: str, tmp_path: Path) -> None:
    it = start(sqlite_url)
    it.send(range(120), bad=[(b"bad", ()), (None, ())])
    copy = open_claimed(f"sqlite:///{tmp_path / 'copy.db'}")
    reader = open_reader(it.kafka.settings(client=it.client))
    first = replay(reader, copy, catalog(), it.topic)
    assert first.complete
    assert (first.written.total(), first.dead.total()) == (120, 2)
    for part in first.partitions.values():
        assert part.complete
        assert part.gaps == 0
    again = replay(reader, copy, catalog(), it.topic)
    assert (again.written.total(), again.already_there.total()) == (0, 120)
    reader.close()
    copy.close()
    assert it.committed() == dict.fromkeys(it.ends)
