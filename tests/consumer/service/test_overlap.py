"""The next batch is polled while one is written, on a thread of the sink's own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from flowise_telemetry_consumer import BatchLimits, ConsumerSettings, DeadLetterLimits
from flowise_telemetry_consumer.dead_letters.limits import LimitWatch
from flowise_telemetry_consumer.dead_letters.writer import DeadLetterQueue
from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_consumer.monitoring.health import MAX_ANSWER_SECONDS, why_not_alive, why_not_ready
from flowise_telemetry_consumer.reading.batch import RecordBatch
from flowise_telemetry_consumer.service.sink_thread import SinkThread
from flowise_telemetry_consumer.service.write_attempt import WriteAttempt, WritePath
from flowise_telemetry_consumer.sinks.parts import WriteSize
from flowise_telemetry_consumer.sinks.port import Batch
from flowise_telemetry_consumer.sinks.refusals import Refusals
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import RebalanceCallback, TopicPartition
from tests.consumer.world import DLQ, GROUP, TOPIC, InstantReader, StopWhen, World

pytestmark = pytest.mark.slow

SETTINGS = ConsumerSettings(topic=TOPIC, group=GROUP, batch=BatchLimits(rows=10), poll_seconds=0.05)
PATIENCE_SECONDS = 60.0


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "flowise_telemetry")


class SlowSink:
    """A sink whose writes block until ``let_go``."""

    def __init__(self, world: World) -> None:
        self.writing = threading.Event()
        self._go_on = threading.Event()
        world.sink.on_write = self._on_write

    def _on_write(self, _batch: Batch) -> None:
        self.writing.set()
        assert self._go_on.wait(PATIENCE_SECONDS)

    def let_go(self) -> None:
        self._go_on.set()


class RevokedReader(InstantReader):
    """A reader that calls ``on_revoke`` when its partitions are revoked, before the consumer hears of it."""

    on_revoke: Callable[[], None] = staticmethod(lambda: None)

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        on_assigned: RebalanceCallback | None = None,
        on_revoked: RebalanceCallback | None = None,
    ) -> None:
        def revoked(partitions: Collection[TopicPartition]) -> None:
            self.on_revoke()
            if on_revoked is not None:
                on_revoked(partitions)

        super().subscribe(topics, on_assigned=on_assigned, on_revoked=revoked)


def test_one_batch_more_is_polled_while_one_is_written_and_then_no_more() -> None:
    world = World(partitions=1)
    world.send_good(100)
    sink, reader = SlowSink(world), world.reader()
    consumer = world.consumer(reader, SETTINGS, sink_thread=ThreadPoolExecutor(1))
    paused_turns = 0

    def between_turns() -> bool:
        nonlocal paused_turns
        if sink.writing.is_set() and not world.sink.batches:
            assert reader.position(world.partitions[0]) <= 20, "memory is bounded: one batch written, one polled"
        if reader.paused and not world.sink.batches:
            polls = reader.polls
            paused_turns += 1
            consumer.turn()
            assert reader.polls > polls, "polling goes on, so that the group keeps us"
            assert reader.position(world.partitions[0]) == 20
            assert consumer.counters.paused == frozenset(world.partitions)
        if paused_turns > 3:
            sink.let_go()
        return world.all_committed()

    counters = consumer.run(StopWhen(between_turns))
    assert world.sink.event_ids() == world.accepted()
    assert counters.batches == 10
    assert reader.paused == counters.paused == set()
    assert counters.duplicates.total() == 0


def test_a_revocation_waits_for_the_batch_that_is_being_written() -> None:
    world = World()
    world.send_good(40)
    sink, reader = SlowSink(world), RevokedReader(world.broker, GROUP, world.clock)
    reader.before_commit = world.check_commit
    consumer = world.consumer(reader, SETTINGS, sink_thread=ThreadPoolExecutor(1))
    other = world.broker.open_reader(group=GROUP)
    other.subscribe([TOPIC])
    reader.on_revoke = sink.let_go

    def between_turns() -> bool:
        if sink.writing.is_set() and not other.assignment():
            other.poll(timeout_seconds=0, max_records=1)
        return bool(other.assignment())

    counters = consumer.run(StopWhen(between_turns))
    assert counters.dropped_records == 0
    assert counters.written.total() == sum(world.committed().values()) >= 10


def test_a_batch_that_takes_longer_than_the_budget_is_left_to_the_next_owner() -> None:
    world = World()
    world.send_good(40)
    sink = SlowSink(world)
    settings = ConsumerSettings(
        topic=TOPIC, group=GROUP, batch=BatchLimits(rows=10), poll_seconds=0.05, revoke_budget_seconds=0.0
    )
    consumer = world.consumer(settings=settings, sink_thread=ThreadPoolExecutor(1))
    rival = world.broker.open_reader(group=GROUP)
    rival.subscribe([TOPIC])

    def between_turns() -> bool:
        if sink.writing.is_set() and consumer.counters.rebalances == 1:
            rival.poll(timeout_seconds=0, max_records=1)
        if consumer.counters.dropped_records and not world.sink.batches:
            assert world.committed() == {}
            rival.close()
            sink.let_go()
        return world.all_committed()

    counters = consumer.run(StopWhen(between_turns))
    assert counters.dropped_records >= 10
    assert world.sink.event_ids() == world.accepted()
    assert counters.duplicates.total() >= 10, "it was written after all, and read again"


def test_a_sink_that_does_not_answer_is_not_ready(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "flowise_telemetry")
    world = World(partitions=1)
    world.send_good(25)
    sink = SlowSink(world)
    consumer = world.consumer(settings=SETTINGS, sink_thread=SinkThread())
    began: list[float] = []
    unready: list[str] = []

    def between_turns() -> bool:
        consumer.counters.watched = True
        if sink.writing.is_set() and not world.sink.batches:
            began.append(world.clock.now)
            why = why_not_ready(consumer.counters, world.clock)
            waited = world.clock.now - began[0]
            assert why_not_alive(consumer.counters, world.clock) is None
            assert (why is not None) == (waited > MAX_ANSWER_SECONDS + 1) or abs(waited - MAX_ANSWER_SECONDS) <= 1
            unready.extend([] if why is None else [why])
            if waited > MAX_ANSWER_SECONDS + 20:
                assert consumer.counters.lag == {world.partitions[0]: 25}, "not what is polled, but what is committed"
                assert consumer.counters.in_hand_since is not None
                assert world.clock.now - consumer.counters.in_hand_since > MAX_ANSWER_SECONDS
                sink.let_go()
            else:
                world.clock.now += 0.5
        return world.all_committed()

    consumer.run(StopWhen(between_turns, turns=1_000_000))
    assert unready[0].startswith("waiting: the sink has not answered for 3")
    assert [record.message[:29] for record in caplog.records] == ["the sink has not answered for"]
    assert consumer.counters.in_hand_since is None


def test_a_sink_that_hangs_keeps_no_consumer_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowise_telemetry_consumer.service.consumer._CLOSE_SECONDS", 0.05)
    monkeypatch.setattr("flowise_telemetry_consumer.service.consumer._ONE_TRY_SECONDS", 0.05)
    world = World(partitions=1)
    world.send_good(25)
    sink = SlowSink(world)
    settings = ConsumerSettings(topic=TOPIC, group=GROUP, batch=BatchLimits(rows=10), stop_budget_seconds=0.0)
    consumer = world.consumer(settings=settings, sink_thread=SinkThread())
    counters = consumer.run(StopWhen(sink.writing.is_set, turns=1_000_000))
    assert counters.left >= 10
    assert world.committed() == {}
    (hanging,) = (thread for thread in threading.enumerate() if thread.name == "flowise-telemetry-sink")
    assert hanging.daemon, "the interpreter does not wait for it"
    sink.let_go()
    hanging.join(PATIENCE_SECONDS)


def test_what_the_sink_refuses_ends_the_run_and_the_thread() -> None:
    world = World()
    world.send_good(5)
    before = threading.active_count()
    world.sink.failures = [ValueError("a bug")]
    with pytest.raises(ValueError, match="a bug"):
        world.consumer(settings=SETTINGS, sink_thread=ThreadPoolExecutor(1)).run(StopWhen(lambda: False))
    assert threading.active_count() == before


def test_a_batch_that_was_given_up_neither_claims_nor_writes_afterwards() -> None:
    # Its claim would come after that of the new owner, and fence it.
    world = World(partitions=1)
    world.send_good(10)
    reader = world.reader()
    reader.assign({world.partitions[0]: 0})
    batch = RecordBatch()
    batch.add(reader.poll(timeout_seconds=1, max_records=10), now=0.0)
    path = WritePath(
        decoder=Decoder(catalog()),
        sink=world.sink,
        source=GROUP,
        dead_letters=DeadLetterQueue(world.broker.open_writer(), topic=DLQ, group=GROUP, clock=world.clock),
        limits=LimitWatch(DeadLetterLimits()),
        refusals=Refusals("wait", clock=world.clock),
        size=WriteSize(),
    )
    attempt = WriteAttempt(batch, path, claim=world.partitions)
    attempt.abandon()
    attempt.advance(flush_seconds=0)
    assert (world.sink.claims, world.sink.batches) == ([], [])
