"""Replays that are killed, resumed, restarted, locked, or whose topic was created again."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowise_telemetry_consumer import (
    Bound,
    ReplayRequest,
    Shard,
    SinkInUseError,
    TopicChangedError,
    UnknownRunError,
    list_runs,
)
from flowise_telemetry_consumer.replay.checkpoints import find_run
from flowise_telemetry_consumer.sinks import open_sink
from tests.consumer.replay.copies import ALL, Copy, KilledError, died
from tests.consumer.world import TOPIC, StopWhen, World


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


def test_a_replay_can_be_resumed_by_its_id(world: World, copy: Copy) -> None:
    some = ReplayRequest(topic=TOPIC, begin=Bound("1", offset=1))
    died(copy, 2, some)
    sink = copy.sink()
    run = find_run(sink, some.run_id(copy.url))
    sink.close()
    result = copy.run(run.request, run_id=run.id)
    assert result.resumed
    assert len(copy.event_ids()) == 95


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
        TopicChangedError, match=r"created again since replay .*\(its id has changed\): restart it"
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
    with pytest.raises(TopicChangedError, match="partition 0 ends at 0 now, not at 20 as before"):
        copy.run()


def test_shards_go_on_each_by_itself(world: World, copy: Copy) -> None:
    first, second = Shard(1, 2), Shard(2, 2)
    with pytest.raises(KilledError):
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
