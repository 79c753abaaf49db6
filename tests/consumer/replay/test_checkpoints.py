"""Replays that stop and go on: what the sink keeps of them, and who may have one."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import pytest

from flowise_telemetry_consumer import (
    BatchLimits,
    Bound,
    ReplayRequest,
    ReplayResult,
    Shard,
    SinkInUseError,
    TopicChangedError,
    UnknownRunError,
    find_run,
    list_runs,
    replay,
)
from flowise_telemetry_consumer.replay import advance_run, open_run, require_own_rows
from flowise_telemetry_consumer.replay.checkpoints import keep_missing
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_consumer.sinks.port import Batch, Sink, WriteResult
from flowise_telemetry_consumer.sinks.sqlite import SqliteSink
from flowise_telemetry_schemas import ConfigurationError, catalog
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.sinks.roles import DatabaseSink, open_database
from tests.consumer.world import TOPIC, StopWhen, World

ALL = ReplayRequest(topic=TOPIC)


class _KilledError(Exception):
    """Stands for a process that ends between two writes."""


class Copy:
    """A sink in a file, opened anew for each replay as by a process of its own."""

    def __init__(self, world: World, url: str) -> None:
        self.world = world
        self.url = url

    def run(
        self,
        request: ReplayRequest = ALL,
        *,
        restart: bool = False,
        shard: Shard | None = None,
        run_id: str | None = None,
        stop: threading.Event | None = None,
        die_after_batches: int | None = None,
    ) -> ReplayResult:
        sink = open_sink(self.url)
        if die_after_batches is not None:
            let_die(sink, die_after_batches)
        try:
            result = replay(
                self.world.reader(None),
                sink,
                catalog(),
                request,
                restart=restart,
                shard=shard,
                run_id=run_id,
                batch=BatchLimits(rows=20),
                control=dataclasses.replace(self.world.control, stop=stop),
            )
        finally:
            sink.close()
        assert result.discrepancies() == []
        return result

    def sink(self) -> DatabaseSink:
        return open_database(self.url)

    def event_ids(self) -> list[str]:
        sink = self.sink()
        ids = [found for event in catalog().events for frame in sink.read(event) for found in frame["event_id"]]
        sink.close()
        return ids


def let_die(sink: Sink, batches: int) -> None:
    """The sink's process dies after some writes."""
    write, left = sink.write, iter(range(batches))

    def until_then(batch: Batch) -> WriteResult:
        if next(left, None) is None:
            raise _KilledError
        return write(batch)

    sink.write = until_then  # type: ignore[method-assign]  # a fault on purpose


@pytest.fixture
def world() -> World:
    made = World(partitions=6)
    for partition in range(5):
        made.send_good(20, partition=partition)
    return made


@pytest.fixture
def copy(world: World, tmp_path: Path) -> Copy:
    return Copy(world, f"sqlite:///{tmp_path / 'copy.db'}")


def died(copy: Copy, batches: int, request: ReplayRequest = ALL) -> None:
    with pytest.raises(_KilledError):
        copy.run(request, die_after_batches=batches)


def test_a_killed_replay_goes_on_up_to_the_ends_of_its_first_start(world: World, copy: Copy) -> None:
    accepted = world.accepted()
    died(copy, 2)
    world.send_good(50)
    result = copy.run()
    assert result.resumed
    assert result.offsets_before == result.offsets_read - sum(p.offsets_read for p in result.partitions.values()) > 0
    assert result.already_there.total() == 0, "nothing was read twice"
    assert result.written.total() == 60
    assert (result.offsets, result.offsets_read) == (100, 100)
    assert sorted(copy.event_ids()) == sorted(accepted)


def test_a_finished_replay_starts_anew_up_to_where_the_topic_ends_then(world: World, copy: Copy) -> None:
    first = copy.run()
    world.send_good(50)
    again = copy.run()
    assert (again.resumed, again.run) == (False, first.run)
    assert (again.already_there.total(), again.written.total()) == (100, 50)
    assert sorted(copy.event_ids()) == sorted(world.accepted())


def test_an_unfinished_replay_can_be_started_anew(world: World, copy: Copy) -> None:
    died(copy, 2)
    result = copy.run(restart=True)
    assert (result.resumed, result.already_there.total(), result.written.total()) == (False, 40, 60)
    assert copy.run().already_there.total() == 100


def test_other_arguments_are_another_replay(world: World, copy: Copy) -> None:
    died(copy, 2)
    some = ReplayRequest(topic=TOPIC, partitions=(0, 4))
    assert not copy.run(some).resumed
    assert copy.run().resumed


def test_an_age_is_the_same_argument_tomorrow(world: World, copy: Copy) -> None:
    day_ms = 86_400_000
    today, tomorrow = (
        ReplayRequest(topic=TOPIC, begin=Bound.parse("1d ago", now_ms=world.clock.now_ms() + later, argument="begin"))
        for later in (0, 2 * day_ms)
    )
    died(copy, 2, today)
    result = copy.run(tomorrow)
    assert (result.resumed, result.filtered, result.written.total()) == (True, 0, 60)


def test_the_list_says_how_far_each_is(world: World, copy: Copy) -> None:
    died(copy, 2)
    copy.run(ReplayRequest(topic=TOPIC, partitions=(3,)))
    sink = copy.sink()
    unfinished, finished = sorted(list_runs(sink), key=lambda run: run.finished)
    sink.close()
    assert (unfinished.finished, unfinished.offsets_read, unfinished.offsets.offset_count) == (False, 40, 100)
    assert (finished.finished, finished.offsets_read, finished.request.partitions) == (True, 20, (3,))
    assert unfinished.id == ALL.run_id(copy.url)


def test_a_replay_can_be_resumed_by_its_id(world: World, copy: Copy) -> None:
    some = ReplayRequest(topic=TOPIC, begin=Bound("1", offset=1))
    died(copy, 2, some)
    sink = copy.sink()
    run = find_run(sink, some.run_id(copy.url))
    sink.close()
    result = copy.run(run.request, run_id=run.id)
    assert result.resumed
    assert len(copy.event_ids()) == 95


def test_what_retention_removed_meanwhile_is_kept_with_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(partitions=1)
    world.send_good(100)
    copy, tp = Copy(world, f"sqlite:///{tmp_path / 'copy.db'}"), TopicPartition(TOPIC, 0)
    write, writes = SqliteSink.write, 0

    def expire_then_die(sink: SqliteSink, batch: Batch) -> WriteResult:
        nonlocal writes
        writes += 1
        if writes == 1:
            world.broker.truncate(tp, 70)
        if writes == 3:
            raise _KilledError
        return write(sink, batch)

    with monkeypatch.context() as patched:
        patched.setattr(SqliteSink, "write", expire_then_die)
        with pytest.raises(_KilledError):
            copy.run()
    result = copy.run()
    assert result.resumed
    ((start, end),) = result.missing[tp]
    assert (0 < start < 70, end) == (True, 70)
    sink = copy.sink()
    finished = find_run(sink, ALL.run_id(copy.url))
    sink.close()
    assert (finished.finished, dict(finished.resolved.missing)) == (True, {tp: [(start, 70)]})


def test_workers_that_find_something_missing_at_once_keep_it_all(world: World, copy: Copy) -> None:
    copy.run()
    sink = copy.sink()
    run = find_run(sink, ALL.run_id(copy.url))
    first, second = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)
    keep_missing(sink, run, [first], {first: [(3, 5)]})
    keep_missing(sink, run, [second], {second: [(1, 2)]})
    keep_missing(sink, run, [first], {first: [(3, 9)]})
    assert find_run(sink, run.id).resolved.missing == {first: [(3, 9)], second: [(1, 2)]}
    assert find_run(sink, run.id).finished
    sink.close()


def test_an_unknown_id_is_told_with_those_there_are(world: World, copy: Copy) -> None:
    copy.run()
    sink = copy.sink()
    with pytest.raises(UnknownRunError, match=f"has no replay 0123456789ab: there are: {ALL.run_id(copy.url)}"):
        find_run(sink, "0123456789ab")
    sink.close()


def test_progress_of_other_arguments_is_not_taken_for_this_replay_s(world: World, copy: Copy) -> None:
    copy.run()
    sink = copy.sink()
    mine, other = ALL.run_id(copy.url), ReplayRequest(topic=TOPIC, partitions=(0,)).run_id(copy.url)
    (run,) = list_runs(sink)
    sink.claim(f"replay/{other}/1", [TopicPartition(TOPIC, 0)], description=run.description())
    with pytest.raises(
        UnknownRunError, match=f"replay {other} is that of another request \\({mine}\\): restart it"
    ) as caught:
        find_run(sink, other)
    assert caught.value.argument == "restart"
    sink.close()


def test_a_second_replay_of_the_same_id_at_once_is_refused(world: World, copy: Copy) -> None:
    refusals: list[str] = []

    def try_too() -> bool:
        if not refusals:
            with pytest.raises(SinkInUseError) as caught:
                copy.run()
            refusals.append(caught.value.message)
        return False

    assert copy.run(stop=StopWhen(try_too)).complete
    assert ALL.run_id(copy.url) in refusals[0]


def test_a_topic_made_again_since_is_told_with_the_mend(world: World, copy: Copy) -> None:
    died(copy, 2)
    world.broker.recreate(TOPIC)
    for partition in range(5):
        world.send_good(30, partition=partition)
    with pytest.raises(
        TopicChangedError, match=r"created again since replay .*\(its id is another\): restart it"
    ) as caught:
        copy.run()
    assert caught.value.argument == "restart"
    assert copy.run(restart=True).written.total() == 150


def test_a_topic_made_again_is_told_by_its_ends_where_it_has_no_id(
    world: World, copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.broker.cluster, "topic_id", lambda topic: None)
    died(copy, 2)
    world.broker.recreate(TOPIC)
    with pytest.raises(TopicChangedError, match="partition 0 ends at 0, before the 20 of then"):
        copy.run()


def test_shards_go_on_each_by_itself(world: World, copy: Copy) -> None:
    first, second = Shard(1, 2), Shard(2, 2)
    with pytest.raises(_KilledError):
        copy.run(shard=first, die_after_batches=1)
    assert copy.run(shard=second).written.total() == 40
    assert copy.run(shard=first).resumed
    assert sorted(copy.event_ids()) == sorted(world.accepted())
    sink = copy.sink()
    assert {(str(run.shard), run.finished) for run in list_runs(sink)} == {("1-of-2", True), ("2-of-2", True)}
    sink.close()


def test_what_is_filtered_out_is_not_read_again(world: World, copy: Copy) -> None:
    nothing = ReplayRequest(topic=TOPIC, begin=Bound("2030-01-01", time_ms=1_893_456_000_000))
    result = copy.run(nothing)
    assert result.offsets == 0
    late = ReplayRequest(topic=TOPIC, end=Bound("1971-01-01", time_ms=31_536_000_000))
    died(copy, 3, late)
    resumed = copy.run(late)
    assert (resumed.resumed, resumed.filtered, resumed.written.total()) == (True, 40, 0)


def test_a_sink_that_keeps_no_progress_begins_again(world: World, tmp_path: Path) -> None:
    lines = Copy(world, f"jsonl:///{tmp_path / 'copy.jsonl'}")
    died(lines, 2)
    sink = open_sink(lines.url)
    with pytest.raises(UnknownRunError, match=r"copy\.jsonl keeps no progress, so no replay into it can be resumed"):
        find_run(sink, ALL.run_id(lines.url))
    assert list_runs(sink) == []
    sink.close()
    result = lines.run()
    assert (result.resumed, result.already_there.total(), result.written.total()) == (False, 40, 60)


def test_the_shards_of_a_divided_replay_are_named(world: World, copy: Copy) -> None:
    for number in (2, 1):
        copy.run(shard=Shard(number, 3))
    sink, mine = copy.sink(), ALL.run_id(copy.url)
    with pytest.raises(UnknownRunError, match=f"replay {mine} is divided into shards, name one; there are: 1/3, "):
        find_run(sink, mine)
    copy.run()
    assert find_run(sink, mine).shard is None
    sink.close()


def test_a_shard_of_a_replay_that_is_not_divided_is_told(world: World, copy: Copy) -> None:
    copy.run()
    sink, mine = copy.sink(), ALL.run_id(copy.url)
    with pytest.raises(UnknownRunError, match=f"replay {mine} is not divided into shards: name none") as caught:
        find_run(sink, mine, Shard(1, 3))
    assert caught.value.argument == "shard"
    sink.close()


def test_a_name_beside_is_for_the_rows_of_one_replay(world: World, copy: Copy) -> None:
    def fill(request: ReplayRequest, shard: Shard | None = None, *, die: bool = False) -> None:
        live = copy.sink()
        sink = live.staging("rebuilt")
        try:
            sink.prepare(list(catalog()))
            run = open_run(world.reader(None), sink, request, clock=world.clock, shard=shard)
            require_own_rows(sink, run.id, resumes=run.updated_at_ms > 0)
            if die:
                let_die(sink, 1)
            advance_run(world.reader(None), sink, catalog(), run, batch=BatchLimits(rows=20), control=world.control)
        finally:
            sink.close()
            live.close()

    other = ReplayRequest(topic=TOPIC, partitions=(0,))
    with pytest.raises(_KilledError):
        fill(ALL, die=True)
    fill(ALL)
    fill(ALL, Shard(1, 2))
    world.send_good(10)
    fill(ALL)  # it catches up before a swap
    with pytest.raises(
        ConfigurationError, match=r"holds 110 rows that are not those of replay .* alone: drop its tables"
    ) as caught:
        fill(other)
    assert caught.value.argument == "staging"
    copy.run(other)
    live = copy.sink()
    live.promote("rebuilt")
    live.close()
    with pytest.raises(ConfigurationError, match="holds 21 rows that are not those of replay"):
        fill(ALL)
