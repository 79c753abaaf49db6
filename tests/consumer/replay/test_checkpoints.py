"""Checkpoints in a sink: how far each replay is, what is missing, and which id is which."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowise_telemetry_consumer import (
    ReplayRequest,
    Shard,
    UnknownRunError,
    list_runs,
)
from flowise_telemetry_consumer.replay.checkpoints import find_run, keep_missing
from flowise_telemetry_consumer.sinks.port import Batch, WriteResult
from flowise_telemetry_consumer.sinks.sqlite import SqliteSink
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.replay.copies import ALL, Copy, KilledError, died
from tests.consumer.world import TOPIC, World


def test_the_list_says_how_far_each_is(world: World, copy: Copy) -> None:
    died(copy, 2)
    copy.run(ReplayRequest(topic=TOPIC, partitions=(3,)))
    sink = copy.sink()
    unfinished, finished = sorted(list_runs(sink), key=lambda run: run.finished)
    sink.close()
    assert (unfinished.finished, unfinished.offsets_read, unfinished.offsets.offset_count) == (False, 40, 100)
    assert (finished.finished, finished.offsets_read, finished.request.partitions) == (True, 20, (3,))
    assert unfinished.id == ALL.run_id(copy.url)


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
            raise KilledError
        return write(sink, batch)

    with monkeypatch.context() as patched:
        patched.setattr(SqliteSink, "write", expire_then_die)
        with pytest.raises(KilledError):
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
