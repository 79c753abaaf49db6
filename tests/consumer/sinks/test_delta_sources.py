"""Several sources that write the same events into one lake: a live group, a replay, an archive run, a redrive."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from flowise_telemetry_consumer.sinks import Batch
from flowise_telemetry_consumer.sinks.delta import DeltaSink
from flowise_telemetry_consumer.sinks.delta.address import place_of
from flowise_telemetry_consumer.sinks.delta.folder import Folder
from flowise_telemetry_consumer.sinks.delta.object_store import ObjectStore
from flowise_telemetry_consumer.sinks.delta.store import Store
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.sinks.test_delta import TP0, TP1, numbers, of_group, sink_in, tools
from tests.thoroughness import IS_CI

OpenSink = Callable[[], DeltaSink]
pytestmark = pytest.mark.slow  # many writers, many orders

EVENTS = 120


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "events"


@pytest.fixture(params=["folder", "bucket"])
def open_one(request: pytest.FixtureRequest, root: Path) -> OpenSink:
    """Opens the same lake once more."""
    url = request.getfixturevalue("s3_url") if request.param == "bucket" else ""

    def opened() -> DeltaSink:
        store: Store = ObjectStore(place_of(url, {})) if url else Folder(root)
        sink = DeltaSink(store, max_cached_ids=60)
        sink.prepare(catalog())
        return sink

    return opened


def test_a_replay_knows_what_the_live_group_wrote_since_it_claimed(open_one: OpenSink) -> None:
    live, replay = open_one(), open_one()
    live.claim("group", [TP0])
    live.write(of_group(TP0, *range(50)))
    replay.claim("replay/x/1", [TP0])
    replay.write(of_group(TP0, *range(45), source="replay/x/1"))
    live.write(of_group(TP0, *range(50, 100)))
    result = replay.write(of_group(TP0, *range(45, 100), source="replay/x/1"))
    assert (result.written, result.duplicates) == ({"tool_created": 0}, {"tool_created": 55})
    # And the other way round: the replay is ahead.
    replay.write(of_group(TP0, *range(100, 120), source="replay/x/1"))
    assert live.write(of_group(TP0, *range(100, 130))).written == {"tool_created": 10}
    assert numbers(live) == list(range(130))


def test_runs_without_offsets_know_what_others_wrote_since_their_last_batch(open_one: OpenSink) -> None:
    live, archive, redrive = open_one(), open_one(), open_one()
    live.claim("group", [TP0])
    archive.write(tools(*range(10)))
    live.write(of_group(TP0, *range(10, 60)))
    assert archive.write(tools(*range(10, 50))).written == {"tool_created": 0}
    assert redrive.write(tools(*range(55, 70))).written == {"tool_created": 10}
    assert archive.write(tools(*range(50, 80))).written == {"tool_created": 10}
    assert live.write(of_group(TP0, *range(60, 90))).written == {"tool_created": 10}
    assert numbers(live) == list(range(90))


def test_two_that_claimed_nothing_know_of_each_other_even_under_the_same_name(open_one: OpenSink) -> None:
    first, second = open_one(), open_one()
    for start in range(0, 40, 10):
        first.write(of_group(TP0, *range(start, start + 10)))
        second.write(of_group(TP0, *range(start, start + 10)))
    assert numbers(first) == list(range(40))


def batches_of(source: str, chance: random.Random) -> Iterator[tuple[TopicPartition, Batch]]:
    """All the events, even numbers in one partition and odd ones in the other, in batches of any size."""
    next_ones = {TP0: list(range(0, EVENTS, 2)), TP1: list(range(1, EVENTS, 2))}
    while any(next_ones.values()):
        partition = chance.choice([partition for partition, left in next_ones.items() if left])
        size = chance.randrange(1, 20 if IS_CI else 40)
        taken, next_ones[partition] = next_ones[partition][:size], next_ones[partition][size:]
        yield partition, of_group(partition, *taken, source=source) if source else tools(*taken)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3 if IS_CI else 1))
def test_any_order_of_the_batches_of_any_sources_leaves_each_event_once(open_one: OpenSink, seed: int) -> None:
    chance = random.Random(seed)
    group = {TP0: open_one(), TP1: open_one()}
    for partition, sink in group.items():
        sink.claim("group", [partition])
    replay, archive = open_one(), open_one()
    replay.claim("replay/x/1", [TP0, TP1])
    under_way = {source: batches_of(source, chance) for source in ("group", "replay/x/1", "")}
    written = 0
    while under_way:
        source = chance.choice(sorted(under_way))
        if (following := next(under_way[source], None)) is None:
            del under_way[source]
            continue
        partition, batch = following
        sink = {"group": group[partition], "replay/x/1": replay, "": archive}[source]
        written += sum(sink.write(batch).written.values())
        if chance.random() < 0.05:
            open_one().compact()
    assert written == EVENTS
    assert numbers(archive) == list(range(EVENTS))


def test_sources_that_write_at_once_leave_each_event_once(root: Path) -> None:
    sources = [("group", [TP0]), ("group", [TP1]), ("replay/x/1", [TP0, TP1]), ("", [TP0, TP1]), ("", [TP0, TP1])]
    started = threading.Barrier(len(sources))
    written: list[int] = []
    failures: list[Exception] = []

    def run(seed: int, source: str, partitions: Sequence[TopicPartition]) -> None:
        try:
            sink = sink_in(root)
            if source:
                sink.claim(source, partitions)
            started.wait(60)
            for partition, batch in batches_of(source, random.Random(seed)):
                if partition in partitions:
                    written.append(sum(sink.write(batch).written.values()))
            sink.close()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(seed, *source)) for seed, source in enumerate(sources)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failures == []
    assert numbers(sink_in(root)) == list(range(EVENTS))
    assert sum(written) == EVENTS


def test_a_promotion_in_the_middle_of_a_batch_loses_nothing_of_it(root: Path) -> None:
    """What the batch wrote into the old tables is written into the new ones as well."""
    promoting = sink_in(root)
    staging = promoting.staging("next")
    staging.prepare(catalog())
    staging.write(tools(*range(100, 110)))

    class Disturbed(Folder):
        moment = -1

        def create(self, path: str, data: bytes) -> bool:
            self.moment -= 1
            if self.moment == 0:
                promoting.promote("next")
            return super().create(path, data)

    store = Disturbed(root)
    sink = DeltaSink(store)
    sink.prepare(catalog())
    sink.claim("group", [TP0])
    for moment, number in ((1, 0), (2, 1), (1, 2), (2, 3)):
        store.moment = moment
        before = set(numbers(staging))
        assert sink.write(of_group(TP0, number, 100)).written["tool_created"] in (1, 2)
        assert before | {number, 100} == set(numbers(sink))
        assert len(numbers(sink)) == len(set(numbers(sink)))
        assert sink.claim("group", [TP0]) == {TP0: 101}
