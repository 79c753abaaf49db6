"""Several sources that write the same events into one data set: a live group, a replay, an archive run, a redrive."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from flowise_telemetry_consumer.errors import SinkUnavailableError
from flowise_telemetry_consumer.sinks import Batch
from flowise_telemetry_consumer.sinks.parquet import ParquetSink
from flowise_telemetry_consumer.sinks.parquet.address import bucket_of
from flowise_telemetry_consumer.sinks.parquet.folder import Folder
from flowise_telemetry_consumer.sinks.parquet.known_ids import KnownIds
from flowise_telemetry_consumer.sinks.parquet.object_store import ObjectStore
from flowise_telemetry_consumer.sinks.parquet.storage import Storage
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.sinks.test_parquet import TP0, TP1, numbers, sink_in, tools

OpenSink = Callable[[], ParquetSink]
EVENTS = 120


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "events"


@pytest.fixture(params=["folder", "bucket"])
def open_one(request: pytest.FixtureRequest, root: Path) -> OpenSink:
    """Opens the same data set once more."""
    bucket = bucket_of(request.getfixturevalue("s3_url"), {}) if request.param == "bucket" else None

    def opened() -> ParquetSink:
        storage: Storage = ObjectStore(bucket) if bucket else Folder(root)
        sink = ParquetSink(storage, known_ids=KnownIds(storage, max_cached_ids=60))
        sink.prepare(catalog())
        return sink

    return opened


def of_group(partition: TopicPartition, *delivered: int, source: str = "group") -> Batch:
    return replace(tools(*delivered), offsets={partition: delivered[-1] + 1}, source=source)


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
        size = chance.randrange(1, 20)
        taken, next_ones[partition] = next_ones[partition][:size], next_ones[partition][size:]
        yield partition, of_group(partition, *taken, source=source) if source else tools(*taken)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
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
        if chance.random() < 0.1:
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


def test_consumers_of_one_group_do_not_wait_for_each_other(root: Path) -> None:
    writing, other_done = threading.Event(), threading.Event()

    class Slow(Folder):
        def put(self, files: Sequence[tuple[str, bytes]]) -> None:
            if any(path.endswith(".parquet") for path, _ in files) and first_written.is_set():
                writing.set()
                assert other_done.wait(60)
            super().put(files)

    first_written = threading.Event()
    slow, other = ParquetSink(Slow(root)), sink_in(root)
    slow.prepare(catalog())
    slow.claim("group", [TP0])
    other.claim("group", [TP1])
    slow.write(of_group(TP0, 0))
    first_written.set()
    thread = threading.Thread(target=slow.write, args=(of_group(TP0, 2),))
    thread.start()
    assert writing.wait(60)
    other.write(of_group(TP1, 1))
    # Another source waits.
    replay = ParquetSink(Folder(root, lock_timeout_seconds=0.1))
    replay.prepare(catalog())
    with pytest.raises(SinkUnavailableError, match="has been written by others"):
        replay.write(tools(1, 2))
    other_done.set()
    thread.join(60)
    assert replay.write(tools(1, 2)).written == {"tool_created": 0}
    assert numbers(replay) == [0, 1, 2]


def test_who_waits_until_nobody_writes_comes_before_those_who_begin_later(root: Path) -> None:
    """Writers that overlap without a pause would keep it waiting for ever."""
    storage = Folder(root)
    storage.open()
    held: list[AbstractContextManager[None]] = [storage.publishing()]
    held[0].__enter__()
    claimed = threading.Event()

    def claim() -> None:
        with Folder(root).claiming():
            claimed.set()

    thread = threading.Thread(target=claim)
    thread.start()
    impatient = Folder(root, lock_timeout_seconds=0.01)
    refused = False
    while not refused:
        try:
            with impatient.publishing():
                pass
        except SinkUnavailableError:
            refused = True
    assert not claimed.is_set()
    held.pop().__exit__(None, None, None)
    thread.join(60)
    assert claimed.is_set()


def test_a_sink_that_opens_takes_nothing_from_a_compaction_that_runs(root: Path) -> None:
    class OpenedBeside(Folder):
        def put(self, files: Sequence[tuple[str, bytes]]) -> None:
            being_written = root / "_flowise_telemetry" / "aside" / "being-written"
            being_written.write_bytes(b"half a file")
            sink_in(root).close()
            being_written.unlink()
            super().put(files)

    sink = sink_in(root)
    for number in range(3):
        sink.write(tools(number))
    assert ParquetSink(OpenedBeside(root)).compact().files_after == 1
    assert numbers(sink) == [0, 1, 2]
