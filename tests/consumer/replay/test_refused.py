"""Rows that the sink refuses, and writes that take too long, in a replay: as in the live consumer."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry_consumer import BatchLimits, ReplayResult, SinkError, list_runs, replay
from flowise_telemetry_consumer.errors import RowRefusedError, SinkTooSlowError
from flowise_telemetry_consumer.replay import replay_archive, require_finished
from flowise_telemetry_consumer.sinks.account.port import KeepsAccount
from flowise_telemetry_consumer.sinks.account.tables import LETTERS_TABLE
from flowise_telemetry_consumer.sinks.port import Batch
from flowise_telemetry_schemas import catalog
from tests.consumer.refusing import RULE, refuse, rows
from tests.consumer.sinks.roles import open_claimed, open_readable
from tests.consumer.world import TOPIC, World, event_id


@pytest.fixture(autouse=True)
def _warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "flowise_telemetry")


def replayed(world: World, **options: Any) -> ReplayResult:
    result = replay(
        world.reader(None), world.sink, catalog(), TOPIC, batch=BatchLimits(rows=40), control=world.control, **options
    )
    assert result.discrepancies() == []
    return result


def test_a_refused_row_is_waited_for_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World(partitions=1)
    sent = world.send_good(30)
    refuse(world, {sent[17]})
    result = replayed(world)
    line = f"{RULE}; event {sent[17]} at events[0] offset 17; the batch is events[0] 0 to 29"
    assert result.incomplete == f"the sink stayed unavailable: {line}"
    assert caplog.messages == [f"waiting: {line}"]
    # What stands before it is written, and nothing is taken for read that is not.
    assert (result.offsets_read, result.written.total()) == (0, 0)
    assert len(world.sink.event_ids()) >= 15
    refuse(world, ())
    again = replayed(world)
    assert (again.complete, world.sink.event_ids()) == (True, world.accepted())


def test_what_is_refused_is_left_out_and_counted_where_that_is_wanted(caplog: pytest.LogCaptureFixture) -> None:
    world = World(partitions=2)
    sent = world.send_good(100, partition=0)
    world.send_bad(partition=0)
    world.send_good(5, partition=1)
    refused = {sent[3], sent[4], sent[99]}
    refuse(world, refused)
    result = replayed(world, on_refused="dead-letter")
    assert (result.complete, result.written.total(), result.dead) == (True, 102, {"refused": 3, "unknown_framing": 1})
    assert world.sink.event_ids() == world.accepted() - refused
    (said,) = caplog.messages
    assert said.startswith("left out ")
    assert f"events[0] offset 3, as all that are refused so: {RULE}" in said
    assert world.dead_records() == [], "a replay files no dead letters"
    refuse(world, ())
    assert replayed(world).written.total() == 3


def test_the_account_of_the_sink_has_what_was_left_out(tmp_path: Path) -> None:
    world = World(partitions=1)
    sent = world.send_good(12)
    url = f"sqlite:///{tmp_path}/events.db"
    with closing(open_claimed(url)) as sink:
        write = sink.write

        def refusing(batch: Batch) -> Any:
            if any(sent[5] in frame["event_id"] for frame in batch.frames.values()):
                raise RowRefusedError(RULE)
            return write(batch)

        sink.write = refusing  # type: ignore[method-assign]  # a rule that refuses one row
        result = replay(world.reader(None), sink, catalog(), TOPIC, control=world.control, on_refused="dead-letter")
        assert (result.written.total(), result.dead) == (11, {"refused": 1})
        assert isinstance(sink, KeepsAccount)
        (letters,) = sink.account(LETTERS_TABLE)
        assert letters.select("reason", "topic", "record_offset").rows() == [("refused", TOPIC, 5)]


def test_what_was_left_out_before_a_kill_is_told_by_who_goes_on(tmp_path: Path) -> None:
    world = World(partitions=2)
    sent = world.send_good(60, partition=0)
    world.send_good(60, partition=1)
    url = f"sqlite:///{tmp_path}/events.db"
    refused = {sent[5]}
    written: list[int] = []

    def run(*, ends_after: int) -> ReplayResult:
        with closing(open_claimed(url)) as sink:
            write = sink.write

            def on_write(batch: Batch) -> Any:
                if any(identity in refused for frame in batch.frames.values() for identity in frame["event_id"]):
                    raise RowRefusedError(RULE)
                if len(written) == ends_after:
                    raise KeyboardInterrupt
                if batch.offsets:
                    written.append(rows(batch))
                return write(batch)

            sink.write = on_write  # type: ignore[method-assign]  # a rule, and a kill
            return replay(
                world.reader(None),
                sink,
                catalog(),
                TOPIC,
                batch=BatchLimits(rows=20),
                control=world.control,
                on_refused="dead-letter",
            )

    for ends_after in (0, 1, 2):  # before the batch of the row is written, after it
        with pytest.raises(KeyboardInterrupt):
            run(ends_after=ends_after)
    result = run(ends_after=1_000)
    place = world.partitions[0]
    assert (result.complete, result.refused) == (True, {place: [(5, 6)]})
    with closing(open_claimed(url)) as sink:
        (checkpoint,) = list_runs(sink)
        assert (checkpoint.finished, checkpoint.resolved.refused) == (True, {place: [(5, 6)]})
        with pytest.raises(SinkError, match="left out what a rule refused, 1 of its events"):
            require_finished(sink)
    refused.clear()
    assert run(ends_after=1_000).refused == {}
    with closing(open_claimed(url)) as sink:
        require_finished(sink)


def test_what_is_taken_when_it_is_read_again_is_not_told(tmp_path: Path) -> None:
    world = World(partitions=1)
    sent = world.send_good(10)
    url = f"sqlite:///{tmp_path}/events.db"
    refused = {sent[5]}

    def run() -> ReplayResult:
        with closing(open_claimed(url)) as sink:
            write = sink.write

            def on_write(batch: Batch) -> Any:
                if any(identity in refused for frame in batch.frames.values() for identity in frame["event_id"]):
                    raise RowRefusedError(RULE)
                if batch.offsets and refused:
                    raise KeyboardInterrupt
                return write(batch)

            sink.write = on_write  # type: ignore[method-assign]  # a rule, and a kill
            return replay(world.reader(None), sink, catalog(), TOPIC, control=world.control, on_refused="dead-letter")

    with pytest.raises(KeyboardInterrupt):
        run()
    refused.clear()
    assert run().refused == {}
    with closing(open_claimed(url)) as sink:
        require_finished(sink)


def test_a_batch_that_takes_too_long_is_halved_even_if_each_try_takes_all_the_time() -> None:
    world = World(partitions=1)
    world.send_good(80)
    tried: list[int] = []

    def on_write(batch: Batch) -> None:
        tried.append(rows(batch))
        if rows(batch) > 12:
            world.clock.now += 60
            raise SinkTooSlowError("canceling statement due to statement timeout")
        world.clock.now += 30

    world.sink.on_write = on_write
    result = replayed(world)
    assert (result.complete, result.written.total()) == (True, 80)
    assert tried == [40, 20, *[10] * 8], "the next batch begins where this one came to"


def test_a_row_alone_that_takes_too_long_is_an_outage() -> None:
    world = World(partitions=1)
    world.send_good(1)
    world.sink.failures = [SinkTooSlowError("has not answered")] * 100
    assert replayed(world).incomplete == "the sink stayed unavailable: has not answered"


def test_a_replay_from_an_archive_halves_and_names_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source, target = World(partitions=1), World(partitions=1)
    source.send_good(60)
    url = f"sqlite:///{tmp_path}/archive.db"
    with closing(open_claimed(url)) as sink:
        replay(source.reader(None), sink, catalog(), TOPIC, control=source.control)
    tried: list[int] = []

    def on_write(batch: Batch) -> None:
        tried.append(rows(batch))
        target.clock.now += 5 * rows(batch)
        if rows(batch) > 6:
            raise SinkTooSlowError("too long")
        if any(event_id(1) in frame["event_id"] for frame in batch.frames.values()):
            raise RowRefusedError(RULE)

    target.sink.on_write = on_write
    with closing(open_readable(url)) as archive:
        result = replay_archive(archive, target.sink, catalog(), control=target.control)
    assert result.incomplete == f"the sink stayed unavailable: {RULE}; event {event_id(1)} of {url}"
    assert max(tried[2:]) <= 6
    assert sum("waiting" in message for message in caplog.messages) == 1
