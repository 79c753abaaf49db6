"""Rows that the sink refuses by a rule of others, and writes that take too long."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import pytest

from flowise_telemetry_consumer import BatchLimits, ConsumerSettings, list_dead_letters
from flowise_telemetry_consumer.dead_letters.headers import decode
from flowise_telemetry_consumer.errors import SinkTooSlowError
from flowise_telemetry_consumer.monitoring.health import why_not_ready
from flowise_telemetry_consumer.sinks.parts import WriteSize
from flowise_telemetry_consumer.sinks.port import Batch
from flowise_telemetry_consumer.sinks.refusals import Refusals
from tests.consumer.refusing import RULE, refuse, rows
from tests.consumer.world import DLQ, GROUP, TOPIC, FakeClock, StopWhen, World


@pytest.fixture(autouse=True)
def _warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "flowise_telemetry")


def settings(**changes: Any) -> ConsumerSettings:
    return ConsumerSettings(topic=TOPIC, group=GROUP, batch=BatchLimits(rows=40), **changes)


def test_it_is_waited_for_with_rule_and_event_and_offsets(caplog: pytest.LogCaptureFixture) -> None:
    world = World(partitions=1)
    sent = world.send_good(30)
    refused = {sent[17]}
    refuse(world, refused)
    consumer = world.consumer(settings=settings())
    reasons: set[str] = set()

    def mended() -> bool:
        reasons.add(str(why_not_ready(consumer.counters, world.clock)))
        if consumer.counters.retries == 3:
            refused.clear()
        return world.all_committed()

    counters = consumer.run(StopWhen(mended))
    assert (counters.written.total(), counters.duplicates.total(), counters.retries) == (30, 0, 3)
    line = f"{RULE}; event {sent[17]} at events[0] offset 17; the batch is events[0] 0 to 29"
    assert [message for message in caplog.messages if "no_tools" in message] == [
        f"waiting with the partitions paused: {line}"
    ]
    assert f"waiting: {line}" in reasons


def test_what_is_refused_is_set_aside_where_that_is_wanted() -> None:
    world = World(partitions=2)
    sent = world.send_good(100)
    refused = {sent[3], sent[4], sent[77], sent[99]}
    refuse(world, refused)
    counters = world.consumer(settings=settings(on_refused="dead-letter")).run(StopWhen(world.all_committed))
    assert world.sink.event_ids() == world.accepted() - refused
    assert (counters.written.total(), counters.dead, counters.retries) == (96, {"refused": 4}, 0)
    assert counters.consumed == 100
    letters = [decode(record) for record in world.dead_records()]
    assert {str(letter.record.key, "ascii") for letter in letters if letter.record.key} == refused
    assert {(letter.reason, letter.stage, letter.message) for letter in letters} == {("refused", "write", RULE)}
    assert all(letter.event is not None and letter.record.value is not None for letter in letters)
    # Their offsets are stored as well: a restart reads nothing again.
    again = world.consumer(settings=settings()).run(StopWhen(world.all_committed))
    assert (again.consumed, again.reread) == (0, 0)


def test_the_same_event_twice_is_set_aside_twice() -> None:
    world = World(partitions=1)
    sent = world.send_good(5)
    world.send_again(sent[2])
    refuse(world, {sent[2]})
    counters = world.consumer(settings=settings(on_refused="dead-letter")).run(StopWhen(world.all_committed))
    assert (counters.written.total(), counters.dead) == (4, {"refused": 2})
    assert [decode(record).source_offset for record in world.dead_records()] == [2, 5]


def test_only_so_many_an_hour_are_set_aside(caplog: pytest.LogCaptureFixture) -> None:
    world = World(partitions=1)
    sent = world.send_good(30)
    refuse(world, set(sent))
    consumer = world.consumer(settings=settings(on_refused="dead-letter", max_refused_per_hour=20))
    started = world.clock.now
    seen: list[float] = []

    def stop() -> bool:
        if consumer.counters.retries and not seen:
            seen.append(world.clock.now - started)
            world.clock.now += 3_600
        return world.all_committed()

    counters = consumer.run(StopWhen(stop))
    assert seen[0] < 60
    assert counters.dead == {"refused": 30}
    assert any("20 rows were set aside within an hour, which is the limit" in each for each in caplog.messages)


def test_a_batch_that_takes_too_long_is_halved() -> None:
    world = World(partitions=1)
    world.send_good(80)
    tried: list[int] = []

    def on_write(batch: Batch) -> None:
        tried.append(rows(batch))
        world.clock.now += 5 * rows(batch)
        if rows(batch) > 12:
            raise SinkTooSlowError("canceling statement due to statement timeout")

    world.sink.on_write = on_write
    counters = world.consumer(settings=settings()).run(StopWhen(world.all_committed))
    assert (counters.written.total(), counters.duplicates.total(), counters.retries) == (80, 0, 2)
    assert tried == [40, 20, *[10] * 8], "the next batch begins where this one came to"
    assert world.sink.event_ids() == world.accepted()
    assert world.sink.next_offsets[GROUP, world.partitions[0]] == 80


def test_a_size_that_was_too_slow_is_tried_again_once_writes_are_fast() -> None:
    size = WriteSize()
    size.was_too_slow(1_000, 60.0)
    size.was_too_slow(500, 60.0)
    assert size.rows == 250
    size.was_done(250, 20.0)
    assert size.rows == 250
    size.was_done(10, 0.1)
    assert size.rows == 250, "a small one says nothing"
    size.was_done(250, 1.0)
    assert size.rows == 500
    size.was_done(500, 1.0)
    assert size.rows is None


def test_a_row_alone_that_takes_too_long_is_an_outage() -> None:
    world = World(partitions=1)
    world.send_good(1)
    world.sink.failures = [SinkTooSlowError("has not answered")] * 3
    counters = world.consumer(settings=settings()).run(StopWhen(world.all_committed))
    assert (counters.written.total(), counters.retries) == (1, 3)


def test_a_kill_between_two_parts_doubles_nothing() -> None:
    world = World(partitions=1)
    world.send_good(40)
    wrote: list[int] = []

    def on_write(batch: Batch) -> None:
        if rows(batch) > 20:
            raise SinkTooSlowError("too long")
        if wrote:
            raise KeyboardInterrupt
        wrote.append(rows(batch))

    world.sink.on_write = on_write
    with pytest.raises(KeyboardInterrupt):
        world.consumer(settings=settings()).run(StopWhen(world.all_committed))
    assert world.committed() == {}
    assert world.sink.next_offsets == {}, "no offset before the last part"
    world.sink.on_write = lambda batch: None
    counters = world.consumer(settings=settings()).run(StopWhen(world.all_committed))
    assert (counters.written.total(), counters.duplicates.total()) == (20, 20)
    assert world.sink.event_ids() == world.accepted()


def test_waiting_sets_nothing_aside() -> None:
    clock = FakeClock()
    assert not Refusals("wait", 1_000, clock=clock).take()
    some = Refusals("dead-letter", 2, clock=clock)
    assert [some.take() for _ in range(3)] == [True, True, False]
    clock.now += 3_600
    assert some.take()


def test_the_settings_say_to_wait() -> None:
    assert dataclasses.asdict(ConsumerSettings())["on_refused"] == "wait"


def test_dead_letters_of_a_range_that_is_read_again_count_once() -> None:
    world = World(partitions=1)
    world.send_good(20)
    world.send_bad()
    world.send_good(20)
    world.consumer(settings=settings()).run(StopWhen(world.all_committed))
    # Set back to before anything was written, but for the claim: as a restored copy is.
    world.sink.rows = {event: {} for event in world.sink.rows}
    world.sink.next_offsets.clear()
    restored = world.consumer(settings=settings())
    restored.run(StopWhen(lambda: restored.counters.consumed >= 41))
    assert restored.counters.reread == 41
    assert world.sink.event_ids() == world.accepted()
    assert len(world.dead_records()) == 2
    summary = list_dead_letters(world.broker.open_reader(), DLQ)
    assert (summary.total, summary.repeats) == (1, 1)
