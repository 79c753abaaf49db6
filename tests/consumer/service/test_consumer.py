from __future__ import annotations

import logging

import pytest

from flowise_telemetry_consumer import (
    BatchLimits,
    ConsumerSettings,
    DeadLetterLimitError,
    DeadLetterLimits,
    FencedError,
    SinkError,
    SinkUnavailableError,
)
from flowise_telemetry_consumer.errors import DeadLetterRefusedError, SinkDeniedError
from flowise_telemetry_consumer.sinks.port import Batch
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport.errors import DeliveryError, DeliveryTimeoutError
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.world import DLQ, GROUP, TOPIC, StopWhen, World, header_texts


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "flowise_telemetry")


def settings(*, rows: int = 10, limits: DeadLetterLimits | None = None) -> ConsumerSettings:
    return ConsumerSettings(topic=TOPIC, group=GROUP, batch=BatchLimits(rows=rows), limits=limits or DeadLetterLimits())


def test_everything_is_written_and_committed() -> None:
    world = World()
    world.send_good(25)
    counters = world.consumer(settings=settings()).run(StopWhen(world.all_committed))
    assert world.sink.event_ids() == world.accepted()
    assert counters.consumed == counters.written.total() == 25
    assert counters.batches == counters.commits == 3
    assert not counters.dead
    assert counters.outage is None


def test_a_small_batch_is_written_once_it_is_old_enough() -> None:
    world = World()
    world.send_good(1)
    started = world.clock.now
    world.consumer(settings=settings()).run(StopWhen(world.all_committed))
    assert 1.0 <= world.clock.now - started < 2.0


def test_a_batch_is_closed_by_its_bytes() -> None:
    world = World(partitions=1)
    world.send_good(10)
    limits = ConsumerSettings(topic=TOPIC, group=GROUP, batch=BatchLimits(rows=4, size_bytes=1))
    world.consumer(settings=limits).run(StopWhen(world.all_committed))
    assert [sum(frame.height for frame in batch.frames.values()) for batch in world.sink.batches] == [4, 4, 2]


def test_the_sink_is_told_source_and_next_offsets() -> None:
    world = World(partitions=1)
    world.send_good(7)
    world.consumer(settings=settings()).run(StopWhen(world.all_committed))
    assert [(batch.source, batch.offsets) for batch in world.sink.batches] == [(GROUP, {TopicPartition(TOPIC, 0): 7})]


def test_stopping_writes_what_was_polled() -> None:
    world = World()
    world.send_good(3)
    polled_once = iter([False, True])
    counters = world.consumer(settings=settings()).run(StopWhen(lambda: next(polled_once)))
    assert counters.written.total() == 3
    assert world.all_committed()


def test_bad_records_do_not_take_good_ones_with_them() -> None:
    world = World()
    for _ in range(4):
        world.send_good(5)
        world.send_bad()
    counters = world.consumer(settings=settings(rows=7)).run(StopWhen(world.all_committed))
    assert world.sink.event_ids() == world.accepted()
    assert counters.dead == {"unknown_framing": 4}
    assert counters.consumed == counters.written.total() + counters.dead.total()
    assert len(world.dead_records()) == 4


def test_a_batch_of_dead_letters_only_leaves_the_sink_alone() -> None:
    world = World()
    world.send_bad()
    world.consumer(settings=settings()).run(StopWhen(world.all_committed))
    assert world.sink.batches == []
    assert len(world.dead_records()) == 1


def test_a_sink_outage_is_waited_for_with_the_partitions_paused() -> None:
    world = World()
    world.send_good(25)
    world.send_bad()
    world.sink.failures = [SinkUnavailableError("gone fishing")] * 4
    reader = world.reader()
    seen: list[tuple[str | None, set[TopicPartition]]] = []
    consumer = world.consumer(reader, settings(), lambda p: seen.append((p.outage, set(reader.paused))))
    started, polls = world.clock.now, reader.polls
    counters = consumer.run(StopWhen(world.all_committed))
    assert world.sink.event_ids() == world.accepted()
    assert counters.retries == 4
    assert counters.dead == {"unknown_framing": 1}
    assert seen[0] == ("gone fishing", set(world.partitions))
    assert seen[1] == (None, set())
    assert world.clock.now - started >= 0.5 + 1 + 2 + 4, "the waits double"
    assert reader.polls - polls > 7.5 / 0.5, "polling goes on, so that the group keeps us"


def test_what_a_rebalance_brings_during_an_outage_is_paused_too() -> None:
    world = World()
    world.send_good(5)
    world.sink.failures = [SinkUnavailableError("gone fishing")] * 5
    reader = world.reader()
    other = world.broker.open_reader(group=GROUP)
    other.subscribe([TOPIC])
    joined = iter([True])

    def between_turns() -> bool:
        if len(world.sink.failures) == 3 and next(joined, False):
            other.poll(timeout_seconds=0, max_records=1)
            other.close()
        return world.all_committed()

    world.consumer(reader, settings(rows=5)).run(StopWhen(between_turns))
    assert world.sink.event_ids() == world.accepted()
    assert reader.paused == set()


def test_a_sink_that_refuses_stops_the_consumer_without_a_commit() -> None:
    world = World()
    world.send_good(5)
    world.send_bad()
    world.sink.failures = [SinkError("no such table")]
    with pytest.raises(SinkError, match="no such table"):
        world.consumer(settings=settings()).run(StopWhen(lambda: False))
    assert world.committed() == {}
    assert world.dead_records() == []


def test_a_sink_that_denies_what_it_allowed_before_is_waited_for() -> None:
    world = World()
    world.send_good(25)
    consumer = world.consumer(settings=settings())
    told: list[str | None] = []

    def deny_the_second(batch: Batch) -> None:
        if len(world.sink.batches) == len(told) == 1:
            world.sink.failures += [SinkDeniedError("a right is missing")] * 3
        told.append(consumer.counters.outage)

    world.sink.on_write = deny_the_second
    counters = consumer.run(StopWhen(world.all_committed))
    assert "a right is missing" in told
    assert world.sink.event_ids() == world.accepted()
    assert (counters.outage, counters.retries) == (None, 3)


def test_a_sink_that_denies_the_first_write_stops_the_consumer() -> None:
    world = World()
    world.send_good(25)
    world.sink.failures = [SinkDeniedError("a right is missing")]
    with pytest.raises(SinkDeniedError, match="a right is missing"):
        world.consumer(settings=settings()).run(StopWhen(world.all_committed))
    assert not world.committed()


def test_an_outage_outlives_the_time_to_stop_and_loses_nothing() -> None:
    world = World()
    world.send_good(5)
    world.sink.failures = [SinkUnavailableError("gone fishing")] * 100
    started = world.clock.now
    counters = world.consumer(settings=settings(rows=5)).run(StopWhen(lambda: len(world.sink.failures) < 98))
    assert counters.dropped_records == 5
    assert world.committed() == {}
    assert world.clock.now - started < 40, "stopping is bounded"
    world.sink.failures.clear()
    world.consumer(settings=settings()).run(StopWhen(world.all_committed))
    assert world.sink.event_ids() == world.accepted()


def test_a_failing_dead_letter_write_is_retried_and_nothing_is_written_twice() -> None:
    world = World()
    world.send_good(4)
    for _ in range(3):
        world.send_bad()
    world.broker.fail_next_deliveries(DeliveryTimeoutError("no acknowledgement"), count=2)
    counters = world.consumer(settings=settings()).run(StopWhen(world.all_committed))
    assert len(world.dead_records()) == 3
    assert counters.retries == 1
    assert len(world.sink.batches) == 1, "the sink is not asked again"


def test_dead_letters_wait_for_the_broker() -> None:
    world = World()
    world.send_bad()
    writer_down = iter([True])

    def broker_goes(_batch: Batch) -> None:
        if next(writer_down, False):
            world.broker.fail_next_deliveries(DeliveryError("not now", retryable=True), count=1)

    world.sink.on_write = broker_goes
    world.send_good(1)
    world.consumer(settings=settings()).run(StopWhen(world.all_committed))
    assert len(world.dead_records()) == 1


def test_a_dead_letter_that_is_refused_stops_the_consumer_without_a_commit() -> None:
    world = World()
    world.send_bad()
    world.broker.fail_next_deliveries(DeliveryError("not allowed"))
    with pytest.raises(DeadLetterRefusedError, match=r"events\.dlq does not take .* events\[\d\] offset 0"):
        world.consumer(settings=settings()).run(StopWhen(lambda: False))
    assert world.committed() == {}


def test_a_dead_letter_that_is_too_large_for_its_topic_goes_without_its_value(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "flowise_telemetry")
    world = World(dlq_max_bytes=1_048_588)
    world.send_bad(b"x" * 1_048_577)
    world.send_good(3)
    world.consumer(settings=settings()).run(StopWhen(world.all_committed))
    (dead,) = world.dead_records()
    assert (dead.key, dead.value) == (b"bad", None)
    assert (header_texts(dead)["dlq.cut"], header_texts(dead)["dlq.value.bytes"]) == ("value", "1048577")
    assert world.sink.event_ids() == world.accepted()
    assert "raise max.message.bytes of topic events.dlq to keep them whole" in caplog.text


def test_an_oversize_record_is_a_dead_letter_with_all_its_bytes() -> None:
    world = World()
    world.send_bad(b"\xc3\x01" + b"x" * 1_048_577)
    world.consumer(settings=settings()).run(StopWhen(world.all_committed))
    (dead,) = world.dead_records()
    assert dead.value == b"\xc3\x01" + b"x" * 1_048_577
    assert header_texts(dead)["dlq.reason"] == "too_large"


def test_dead_letters_alone_do_not_stop_the_consumer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "flowise_telemetry")
    world = World(partitions=1)
    world.send_good(5)
    for _ in range(3_000):
        world.send_bad()
    world.send_good(5)
    counters = world.consumer(settings=settings(rows=500)).run(StopWhen(world.all_committed))
    assert counters.dead == {"unknown_framing": 3_000}
    assert len(world.dead_records()) == 3_000
    assert world.sink.event_ids() == world.accepted()
    first, summary = (each.getMessage() for each in caplog.records if "dead letter" in each.getMessage())
    assert first.startswith("first dead letter with reason unknown_framing: events[0] offset 5, filed in events.dlq: ")
    assert summary == "2,999 more dead letters in events.dlq: unknown_framing 2,999"


def test_too_many_dead_letters_stop_the_consumer_before_anything_is_written() -> None:
    world = World(partitions=1)
    world.send_good(4)
    for _ in range(6):
        world.send_bad()
    limits = DeadLetterLimits(max_ratio=0.5, window_records=10, max_run_records=None)
    with pytest.raises(DeadLetterLimitError, match=r"6 of the latest 10 .* unknown_framing"):
        world.consumer(settings=settings(limits=limits)).run(StopWhen(lambda: False))
    assert world.committed() == {}
    assert world.dead_records() == []
    assert world.sink.batches == []


def test_a_run_of_dead_letters_stops_the_consumer() -> None:
    world = World(partitions=2)
    world.send_good(50, partition=0)
    for _ in range(4):
        world.send_bad(partition=1)
    limits = DeadLetterLimits(max_ratio=None, max_run_records=3)
    with pytest.raises(DeadLetterLimitError, match="4 consecutive dead letters in one partition"):
        world.consumer(settings=settings(rows=100, limits=limits)).run(StopWhen(lambda: False))


def test_a_run_is_counted_over_batches_and_ended_by_a_good_record() -> None:
    world = World(partitions=1)
    for _ in range(5):
        world.send_bad()
        world.send_bad()
        world.send_good(1)
    limits = DeadLetterLimits(max_ratio=None, max_run_records=2)
    world.consumer(settings=settings(rows=1, limits=limits)).run(StopWhen(world.all_committed))
    for _ in range(3):
        world.send_bad()
    with pytest.raises(DeadLetterLimitError):
        world.consumer(settings=settings(rows=1, limits=limits)).run(StopWhen(lambda: False))


def test_a_record_that_cannot_be_read_is_stepped_over() -> None:
    world = World(partitions=1)
    world.send_good(3)
    world.send_bad(b"broken on the way")
    world.send_good(3)
    world.broker.break_record(TopicPartition(TOPIC, 0), 3)
    counters = world.consumer(settings=settings(rows=100)).run(StopWhen(world.all_committed))
    assert world.sink.event_ids() == world.accepted()
    assert counters.dead == {"unreadable": 1}
    (dead,) = world.dead_records()
    assert (dead.key, dead.value) == (None, None)
    text = header_texts(dead)
    assert (text["dlq.source.offset"], text["dlq.stage"]) == ("3", "read")
    assert "dlq.source.timestamp" not in text


def test_a_revoked_partition_is_written_and_committed_first() -> None:
    world = World()
    world.send_good(8)
    other = world.broker.open_reader(group=GROUP)
    other.subscribe([TOPIC])
    turns = iter(range(1_000))

    def between_turns() -> bool:
        if next(turns) >= 1:
            taken = other.poll(timeout_seconds=0, max_records=100)
            assert taken == [], "what the first had polled is committed before the second begins"
            return bool(other.assignment())
        return False

    counters = world.consumer(settings=settings(rows=100)).run(StopWhen(between_turns))
    assert world.all_committed()
    assert counters.written.total() == 8
    assert counters.dropped_records == 0


def test_a_revoke_during_an_outage_leaves_the_records_to_the_next_owner() -> None:
    world = World()
    world.send_good(8)
    other = world.broker.open_reader(group=GROUP)
    other.subscribe([TOPIC])
    world.sink.failures = [SinkUnavailableError("gone fishing")] * 50
    taken: list[str] = []

    def between_turns() -> bool:
        if len(world.sink.failures) < 49:
            taken.extend(str(record.key) for record in other.poll(timeout_seconds=0, max_records=100))
        return bool(taken)

    counters = world.consumer(settings=settings(rows=8)).run(StopWhen(between_turns))
    assert world.committed() == {}
    assert counters.dropped_records >= len(taken) > 0


def test_a_rejected_commit_loses_and_doubles_nothing() -> None:
    world = World()
    world.send_good(20)
    world.broker.reject_next_commits(2)
    counters = world.consumer(settings=settings(rows=5)).run(StopWhen(world.all_committed))
    assert counters.rejected_commits == 2
    assert counters.written.total() == 20
    assert counters.duplicates.total() == 0


def test_an_evicted_consumer_reads_again_what_it_could_not_commit() -> None:
    world = World()
    world.send_good(20)
    world.send_bad()
    reader = world.reader()
    evicted = iter([True])

    def evict(_batch: Batch) -> None:
        if next(evicted, False):
            world.broker.evict(reader)
            world.broker.reject_next_commits(2)  # also the one in which it learns of the revocation

    world.sink.on_write = evict
    counters = world.consumer(reader, settings(rows=5)).run(StopWhen(world.all_committed))
    assert world.sink.event_ids() == world.accepted()
    assert counters.written.total() == 20
    assert counters.duplicates.total() > 0
    assert counters.rejected_commits > 0


def test_partitions_are_claimed_with_the_first_batch_after_they_are_assigned() -> None:
    world = World()
    world.send_good(25)
    world.sink.failures = [SinkUnavailableError("gone fishing")]
    world.consumer(settings=settings()).run(StopWhen(world.all_committed))
    assert world.sink.claims == [(GROUP, frozenset(world.partitions))]


def test_a_fenced_batch_is_left_and_the_group_joined_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "flowise_telemetry")
    world = World()
    world.send_good(25)
    world.send_bad()
    world.sink.failures = [FencedError("another sink has claimed events[0]")]
    counters = world.consumer(settings=settings()).run(StopWhen(world.all_committed))
    assert world.sink.event_ids() == world.accepted()
    assert counters.written.total() == 25
    assert counters.rebalances == 2
    assert counters.dropped_records >= 10
    assert len(world.sink.claims) == 2
    told = [record.getMessage() for record in caplog.records if "claimed" in record.getMessage()]
    assert told == ["giving up all partitions and rejoining the group: another sink has claimed events[0]"]


def test_the_last_commit_is_tried_more_than_once() -> None:
    world = World()
    world.send_good(3)
    world.broker.reject_next_commits(3)
    polled_once = iter([False, True])
    world.consumer(settings=settings()).run(StopWhen(lambda: next(polled_once)))
    assert world.all_committed()


def test_the_last_commit_is_given_up_in_time() -> None:
    world = World()
    world.send_good(3)
    world.broker.reject_next_commits(1_000)
    polled_once = iter([False, True])
    started = world.clock.now
    world.consumer(settings=settings()).run(StopWhen(lambda: next(polled_once)))
    assert world.committed() == {}
    assert world.clock.now - started < 10


def test_a_broker_that_is_away_for_the_commit_is_asked_again() -> None:
    world = World()
    world.send_good(5)

    def broker_goes(_batch: Batch) -> None:
        world.broker.down = True

    world.sink.on_write = broker_goes
    started = world.clock.now

    def between_turns() -> bool:
        if world.clock.now - started > 5:
            world.broker.down = False
        return world.all_committed()

    counters = world.consumer(settings=settings(rows=5)).run(StopWhen(between_turns))
    assert counters.commits == 1
    assert counters.written.total() == 5


def test_gaps_at_the_end_are_committed_when_nothing_is_in_hand() -> None:
    world = World(partitions=1)
    world.send_good(5)
    for _ in range(3):
        world.send_bad()
    partition = TopicPartition(TOPIC, 0)
    world.broker.remove_records(partition, [2, 5, 6, 7])
    world.sent[partition] = []
    world.consumer(settings=settings()).run(StopWhen(lambda: world.committed().get(partition) == 8))


def test_dead_letters_cannot_go_back_to_their_topic() -> None:
    assert ConsumerSettings(topic=TOPIC).dead_letter_topic == DLQ
    with pytest.raises(ConfigurationError):
        ConsumerSettings(topic=TOPIC, dead_letter_topic=TOPIC)
