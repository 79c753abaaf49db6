from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from typing import Any, ClassVar

import pytest

from flowise_telemetry import DropReason, FlowGraph, Limits, PredictionSent, Telemetry, ToolCreated, ValidationError
from flowise_telemetry.delivery.wakeup import Wakeup
from flowise_telemetry.delivery.worker import Worker
from flowise_telemetry_schemas import catalog, codec
from flowise_telemetry_transport import DeliveryError, InMemoryBroker, MessageTooLargeError, open_reader
from flowise_telemetry_transport.errors import BrokerUnavailableError, DeliveryTimeoutError
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import ID, is_control, prediction_sent, stored, stored_records, tool_created, wait_until
from tests.services.kafka import KafkaService


def test_an_event_arrives_as_the_record_of_its_schema(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    telemetry = make_telemetry()
    before_ms = time.time_ns() // 1_000_000
    telemetry.send_telemetry(prediction_sent())
    assert telemetry.flush(10.0)
    (record,) = stored_records(broker)
    schema, fields = codec.decode(record.value, catalog())
    assert schema is catalog().latest("prediction_sent")
    assert fields["version"] == "3.0.1"
    assert before_ms <= fields["occurredAt"] <= time.time_ns() // 1_000_000
    assert fields["sequence"] == 0
    assert fields["streamId"] == telemetry.stats().stream_id
    assert uuid.UUID(fields["eventId"]).version == 7
    assert int(fields["eventId"].replace("-", "")[:12], 16) == fields["occurredAt"]
    assert record.key == fields["eventId"].encode()
    assert record.headers == ()
    assert fields["flowGraph"]["nodes"][0] == "chatOpenAI_0"


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_events_arrive_through_a_real_client(kafka: KafkaService, client: str, environ: dict[str, str]) -> None:
    topic = kafka.new_topic()
    environ["FLOWISE_TELEMETRY_CLIENT"] = client
    with Telemetry(
        app_version="3.0.1",
        bootstrap_servers=",".join(kafka.bootstrap_servers),
        topic=topic,
        environ=environ,
    ) as telemetry:
        for number in range(300):
            telemetry.send_telemetry(tool_created(number))
        assert telemetry.flush(30.0)
    assert telemetry.stats().sent == 300
    reader = open_reader(kafka.settings())
    reader.assign(dict.fromkeys(reader.partitions_of(topic), 0))
    found: list[int] = []
    while len(found) < 300 and (batch := reader.poll(timeout_seconds=10.0, max_records=500)):
        found += [codec.decode(record.value, catalog())[1]["sequence"] for record in batch if not is_control(record)]
    reader.close()
    assert sorted(found) == list(range(300))


def test_a_sender_that_has_enough_to_do_waits_for_no_more(
    make_telemetry: MakeTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway's sender waits for further events before it works; a full queue would fill faster than it empties."""
    lingered: list[None] = []
    telemetry = make_telemetry(limits=Limits(linger_seconds=0.01))
    with monkeypatch.context() as patched:
        patched.setattr(Worker, "start", lambda self: None)
        for number in range(10_000):
            telemetry.send_telemetry(tool_created(number))
    monkeypatch.setattr(Wakeup, "linger", lambda self: lingered.append(None))
    assert telemetry.flush(60.0)
    assert len(lingered) < 5


def test_many_threads_share_one_stream_without_a_gap(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    telemetry = make_telemetry()

    def work() -> None:
        for number in range(500):
            telemetry.send_telemetry(tool_created(number))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert telemetry.flush(20.0)
    records = stored(broker)
    assert [record["sequence"] for record in records] == list(range(2000))
    assert len({record["eventId"] for record in records}) == 2000
    assert telemetry.stats().accepted == telemetry.stats().sent == 2000


def test_event_ids_ascend_with_the_sequence(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    telemetry = make_telemetry()
    for number in range(1000):
        telemetry.send_telemetry(tool_created(number))
    assert telemetry.flush(10.0)
    ids = [record["eventId"] for record in stored(broker)]
    assert ids == sorted(ids)


def test_asyncio_sends_from_the_loop_and_flushes_off_it(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    telemetry = make_telemetry()

    async def app() -> bool:
        await asyncio.gather(*(asyncio.to_thread(telemetry.send_telemetry, tool_created(n)) for n in range(20)))
        telemetry.send_telemetry(tool_created())
        return await asyncio.to_thread(telemetry.flush, 20.0)

    assert asyncio.run(app())
    assert len(stored(broker)) == 21


def test_several_objects_have_streams_of_their_own(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    first, second = make_telemetry(), make_telemetry(topic="other")
    for telemetry in (first, second, first):
        telemetry.send_telemetry(tool_created())
    assert first.flush(5.0)
    assert second.flush(5.0)
    assert [record["sequence"] for record in stored(broker)] == [0, 1]
    assert [record["sequence"] for record in stored(broker, "other")] == [0]
    assert first.stats().stream_id != second.stats().stream_id


def test_flush_with_nothing_sent_is_true_at_once(make_telemetry: MakeTelemetry) -> None:
    assert make_telemetry().flush(0.0)


def test_flush_keeps_its_time_when_the_broker_is_away(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    broker.down = True
    telemetry = make_telemetry()
    telemetry.send_telemetry(tool_created())
    started = time.monotonic()
    assert not telemetry.flush(0.3)
    assert 0.2 < time.monotonic() - started < 5.0
    broker.down = False
    assert telemetry.flush(10.0)


def test_after_close_events_are_counted_and_nothing_else(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    telemetry = make_telemetry()
    telemetry.send_telemetry(tool_created())
    telemetry.close()
    telemetry.close()
    telemetry.send_telemetry(tool_created())
    assert len(stored(broker)) == 1
    stats = telemetry.stats()
    assert (stats.accepted, stats.sent, stats.dropped, stats.refused) == (1, 1, {"closed": 1}, 1)


def test_what_close_cannot_deliver_is_counted(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    broker.down = True
    dropped: list[tuple[DropReason, str | None]] = []
    telemetry = make_telemetry(on_drop=lambda reason, event: dropped.append((reason, event)))
    for number in range(5):
        telemetry.send_telemetry(tool_created(number))
    started = time.monotonic()
    telemetry.close(timeout_seconds=0.3)
    assert time.monotonic() - started < 5.0
    assert dropped == [(DropReason.CLOSED, "tool_created")] * 5
    assert telemetry.stats().buffered == 0


class HangingWriter:
    """A client that does not come back, as some do without internet."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def send(self, record: Any, on_delivery: Any) -> None:
        self.release.wait(30.0)

    def poll(self) -> None: ...

    def flush(self, *, timeout_seconds: float) -> int:
        return 0

    def close(self, *, timeout_seconds: float) -> None: ...


def test_a_client_that_hangs_delays_nothing(make_telemetry: MakeTelemetry) -> None:
    # dbt-core#9989: 30 s without internet. posthog-python#79: a flush of ten minutes.
    writer = HangingWriter()
    telemetry = make_telemetry(writer_factory=lambda: writer)
    telemetry.send_telemetry(tool_created())
    started = time.monotonic()
    for number in range(1000):
        telemetry.send_telemetry(tool_created(number))
    assert not telemetry.flush(0.2)
    telemetry.close(timeout_seconds=0.2)
    assert time.monotonic() - started < 5.0  # the client hangs for 30 s
    assert telemetry.stats().dropped == {"closed": 1001}
    writer.release.set()


class RefusingWriter(HangingWriter):
    def send(self, record: Any, on_delivery: Any) -> None:
        raise BrokerUnavailableError("no metadata within 1 s")


def test_an_event_that_comes_back_from_the_client_as_the_end_comes_is_counted(make_telemetry: MakeTelemetry) -> None:
    at_it, go_on = threading.Event(), threading.Event()

    def stand_still(record: logging.LogRecord) -> bool:
        if threading.current_thread().name == "flowise-telemetry":  # it has just been refused an event
            at_it.set()
            go_on.wait(30)
        return True

    logger = logging.getLogger("flowise_telemetry")
    telemetry = make_telemetry(writer_factory=RefusingWriter)
    logger.addFilter(stand_still)
    try:
        telemetry.send_telemetry(tool_created())
        assert at_it.wait(30)
        telemetry.close(timeout_seconds=0.2)
        assert telemetry.stats().dropped == {"closed": 1}
    finally:
        logger.removeFilter(stand_still)
        go_on.set()


class SlowEvent(ToolCreated):
    """An event that the sender's thread reads when it may; by then the process may be over."""

    __slots__ = ()
    at_it: ClassVar[list[threading.Event]] = []
    go_on: ClassVar[list[threading.Event]] = []

    def __getattribute__(self, name: str) -> Any:
        if name == "tool_name" and threading.current_thread().name == "flowise-telemetry" and self.at_it:
            self.at_it.pop().set()
            self.go_on.pop().wait(30)
        return super().__getattribute__(name)


def test_events_that_are_being_encoded_as_the_end_comes_are_counted(make_telemetry: MakeTelemetry) -> None:
    slow = SlowEvent(tool_id=ID, tool_name="custom_tool")
    first, second = [(threading.Event(), threading.Event()) for _ in range(2)]
    SlowEvent.at_it[:], SlowEvent.go_on[:] = [second[0], first[0]], [second[1], first[1]]
    telemetry = make_telemetry()
    telemetry.send_telemetry(slow)
    assert first[0].wait(30)
    for number in range(20):
        telemetry.send_telemetry(slow if number == 10 else tool_created(number))
    first[1].set()
    assert second[0].wait(30)  # ten are encoded, ten are not
    telemetry.close(timeout_seconds=0.2)
    stats = telemetry.stats()
    second[1].set()
    assert (stats.accepted, stats.buffered) == (21, 0)
    assert stats.sent + stats.dropped["closed"] == 21
    wait_until(lambda: telemetry._worker._requests.over)
    assert telemetry.stats() == stats


def test_a_full_buffer_refuses_the_newest_and_counts_every_one(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, caplog: pytest.LogCaptureFixture
) -> None:
    # langfuse#15374: a full queue dropped 82% silently.
    broker.down = True
    dropped: list[DropReason] = []
    telemetry = make_telemetry(
        limits=Limits(buffer_max_events=100), on_drop=lambda reason, event: dropped.append(reason)
    )
    for number in range(550):
        telemetry.send_telemetry(tool_created(number))
    assert dropped == [DropReason.QUEUE_FULL] * 450
    assert telemetry.stats().buffered == 100
    broker.down = False
    assert telemetry.flush(10.0)
    assert [record["toolId"][-4:] for record in stored(broker)] == [f"{number:04x}" for number in range(100)]
    assert [record["sequence"] for record in stored(broker)] == list(range(100))
    warnings = [line for line in caplog.records if line.levelno >= logging.WARNING]
    assert len([line for line in warnings if "queue_full" in line.getMessage()]) == 1


def test_the_buffer_is_bounded_in_bytes_too(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    broker.down = True
    telemetry = make_telemetry(limits=Limits(buffer_max_bytes=100_000))
    for _ in range(200):
        telemetry.send_telemetry(prediction_sent(100))
    stats = telemetry.stats()
    assert stats.dropped["queue_full"] > 150
    assert stats.accepted + stats.refused == 200


def test_events_too_old_expire(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    broker.fail_next_deliveries(DeliveryTimeoutError("away"), count=1_000_000)
    telemetry = make_telemetry(limits=Limits(max_age_seconds=0.2))
    telemetry.send_telemetry(tool_created())
    wait_until(lambda: telemetry.stats().dropped == {"expired": 1})


def test_a_refusal_for_good_drops_that_record_alone(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    broker.fail_next_deliveries(MessageTooLargeError("over the topic's limit"))
    broker.fail_next_deliveries(DeliveryError("invalid record"))
    telemetry = make_telemetry()
    for number in range(4):
        telemetry.send_telemetry(tool_created(number))
    assert telemetry.flush(5.0)
    assert telemetry.stats().dropped == {"too_large": 1, "rejected": 1}
    assert [record["sequence"] for record in stored(broker)] == [2, 3]


def test_a_failure_that_may_pass_loses_nothing(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    broker.fail_next_deliveries(DeliveryTimeoutError("slow"), count=3)
    telemetry = make_telemetry()
    for number in range(10):
        telemetry.send_telemetry(tool_created(number))
    wait_until(lambda: telemetry.flush(1.0))
    assert [record["sequence"] for record in stored(broker)] == list(range(10))
    assert telemetry.stats().dropped == {}


@pytest.mark.slow
def test_an_outage_is_one_warning_and_its_end_one_line(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flowise_telemetry")
    broker.fail_next_deliveries(DeliveryTimeoutError("away"), count=200)
    telemetry = make_telemetry()
    for number in range(500):
        telemetry.send_telemetry(tool_created(number))
    wait_until(lambda: telemetry.flush(0.05), timeout_seconds=30.0)
    lines = [(line.levelname, line.getMessage()) for line in caplog.records if line.name == "flowise_telemetry"]
    assert [level for level, _ in lines] == ["WARNING", "INFO"]
    assert "delivery fails" in lines[0][1]
    assert "delivery works again" in lines[1][1]
    assert len(stored(broker)) == 500


class NotAnEvent:
    """Lies about its class and raises wherever it is touched."""

    @property
    def __class__(self) -> Any:
        return ToolCreated

    @__class__.setter
    def __class__(self, value: Any) -> None: ...

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("sk-proj-secret")


def with_graph(graph: Any) -> PredictionSent:
    return PredictionSent(chatflow_id=ID, chat_id=ID, type="EXTERNAL", flow_graph=graph)  # type: ignore[arg-type]


def tool(**changes: Any) -> ToolCreated:
    return ToolCreated(**{"tool_id": ID, "tool_name": "a_tool", **changes})


BAD: dict[str, Any] = {
    "wrong type": tool(tool_id=7),
    "missing field": tool(tool_id=None),
    "over-long id": tool(tool_id=ID * 100),
    "odd characters": tool(tool_id="../../etc/passwd\x00"),
    "NaN": tool(tool_id=float("nan")),
    "10,000 nodes": prediction_sent(10_000),
    "a graph that is a dict": with_graph({"nodes": [], "edges": []}),
    "a graph that is None": with_graph(None),
    "nodes without a length": with_graph(FlowGraph(nodes=iter(()), edges=())),  # type: ignore[arg-type]
    "a node that is a dict": with_graph(FlowGraph(nodes=({"id": "llm_0", "prompt": "x"},), edges=())),  # type: ignore[arg-type]
    "a dict in place of an event": {"event": "tool_created", "properties": {}},
    "prose for a version": tool(version="What is the capital of France?"),
    "lone surrogate": tool(version="3.0.1\ud800"),
    "None": None,
    "an object that raises": NotAnEvent(),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_event_is_counted_with_one_warning_and_the_app_goes_on(
    bad: str, make_telemetry: MakeTelemetry, broker: InMemoryBroker, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry = make_telemetry()
    for event in (tool_created(1), BAD[bad], BAD[bad], tool_created(2)):
        telemetry.send_telemetry(event)
    assert telemetry.flush(10.0)
    stats = telemetry.stats()
    assert stats.dropped == {"invalid": 2}
    assert stats.sent == len(stored(broker)) == 2
    assert stats.accepted + stats.refused == 4
    assert stats.buffered == 0
    warnings = [line for line in caplog.records if line.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "France" not in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("servers", [True, False], ids=["with servers", "without servers"])
def test_strict_raises_for_a_bad_event_where_it_is_made(bad: str, servers: bool, make_telemetry: MakeTelemetry) -> None:
    telemetry = make_telemetry(strict=True, **({} if servers else {"writer_factory": None}))
    telemetry.send_telemetry(tool_created())
    with pytest.raises(ValidationError):
        telemetry.send_telemetry(BAD[bad])


def test_strict_names_event_field_and_rule(make_telemetry: MakeTelemetry) -> None:
    with pytest.raises(ValidationError, match="flowGraph") as raised:
        make_telemetry(strict=True).send_telemetry(with_graph(FlowGraph(nodes=("What is 1+1?",), edges=())))
    assert (raised.value.event, raised.value.field, raised.value.rule) == (
        "prediction_sent",
        "flowGraph.nodes[0]",
        "pattern",
    )
    assert "1+1" not in str(raised.value)


def test_an_event_is_what_it_was_when_it_was_sent(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    nodes = ["llmChain_0"]
    graph = FlowGraph(nodes=nodes, edges=[])  # type: ignore[arg-type]  # lists are taken over
    telemetry = make_telemetry()
    telemetry.send_telemetry(with_graph(graph))
    nodes.append("changed_1")
    assert telemetry.flush(5.0)
    assert stored(broker)[0]["flowGraph"]["nodes"] == ["llmChain_0"]


def test_on_drop_that_raises_or_flushes_does_no_harm(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    def on_drop(reason: DropReason, event: str | None) -> None:
        telemetry.flush(5.0)
        raise ZeroDivisionError

    telemetry = make_telemetry(on_drop=on_drop)
    telemetry.send_telemetry(tool(tool_id=7))
    telemetry.send_telemetry(tool_created())
    assert telemetry.flush(5.0)
    assert len(stored(broker)) == 1
