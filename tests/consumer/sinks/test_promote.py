"""What every sink with tables owes that can fill others beside them and exchange the two."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flowise_telemetry_consumer.errors import FencedError, SinkBehindError, SinkError, SinkInUseError
from flowise_telemetry_consumer.replay import open_target
from flowise_telemetry_consumer.sinks import Batch, Stageable, open_sink
from flowise_telemetry_schemas import ConfigurationError, catalog
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.sinks.batches import batch, held, sizes, with_second_version
from tests.consumer.sinks.roles import DatabaseSink, open_database
from tests.thoroughness import IS_CI

TP0, TP1 = (TopicPartition("flowise.telemetry.events", number) for number in range(2))
NONE_HELD = dict.fromkeys(catalog().names, 0)


@pytest.fixture
def live(database_url: str) -> Iterator[DatabaseSink]:
    opened = open_database(database_url)
    opened.prepare(catalog())
    yield opened
    opened.close()


@pytest.fixture
def staging(live: DatabaseSink) -> Iterator[DatabaseSink]:
    opened = live.staging("next")
    opened.prepare(catalog())
    yield opened
    opened.close()


def of(source: str, number: int, offset: int) -> Batch:
    return replace(batch(number), offsets={TP0: offset}, source=source)


def progress(sink: DatabaseSink) -> dict[str, dict[TopicPartition, int]]:
    return {its.source: dict(its.next_offsets) for its in sink.progress()}


def times(count: int) -> dict[str, int]:
    return {event: count * size for event, size in sizes(batch()).items()}


def test_tables_beside_are_a_sink_of_their_own(live: DatabaseSink, staging: DatabaseSink) -> None:
    live.claim("group", [TP0])
    live.write(of("group", 0, 1))
    staging.claim("group", [TP0])
    assert staging.write(of("group", 0, 7)).written == sizes(batch())
    live.write(of("group", 1, 2))
    assert (live.counts(), staging.counts()) == (times(2), times(1))
    assert (progress(live), progress(staging)) == ({"group": {TP0: 2}}, {"group": {TP0: 7}})
    assert held(staging, "tool_created").equals(batch().frames["tool_created"])
    live.lock("x")
    staging.lock("x")
    with pytest.raises(SinkInUseError):
        live.staging("next").lock("x")
    assert "next" in staging.url
    assert "next" not in live.url


def test_a_swap_exchanges_the_tables_and_another_brings_them_back(live: DatabaseSink, staging: DatabaseSink) -> None:
    live.write(batch(0))
    for number in range(1, 4):
        staging.write(batch(number))
    for _ in range(2):
        live.promote("next")
        assert (live.counts(), staging.counts()) == (times(3), times(1))
        assert held(staging, "tool_created").equals(batch().frames["tool_created"])
        live.promote("next")
        assert (live.counts(), staging.counts()) == (times(1), times(3))


def test_sinks_that_are_open_write_on_into_what_has_the_name(
    live: DatabaseSink, staging: DatabaseSink, database_url: str
) -> None:
    live.write(batch(0))
    other = open_database(database_url)
    other.prepare(catalog())
    other.write(batch(1))
    staging.write(batch(0))
    other.promote("next")
    # Keys have gone with their tables: what is there already is known.
    assert live.write(batch(0)).duplicates == sizes(batch())
    assert live.write(batch(2)).written == sizes(batch())
    assert staging.write(batch(1)).duplicates == sizes(batch())
    assert (other.counts(), staging.counts()) == (times(2), times(2))
    other.close()


def test_progress_goes_with_the_rows_and_a_claim_stays_with_the_name(
    live: DatabaseSink, staging: DatabaseSink, database_url: str
) -> None:
    live.claim("group", [TP0])
    live.write(of("group", 0, 10))
    staging.claim("replay", [TP0])
    staging.write(of("replay", 0, 5))
    live.promote("next")
    # What these tables hold is what the replay read: the group goes on from there.
    assert (progress(live), progress(staging)) == ({"replay": {TP0: 5}, "group": {TP0: 5}}, {"group": {TP0: 10}})
    # The consumer goes on; the replay has had its tables taken away and may not fill those it does not mean.
    live.write(of("group", 1, 11))
    with pytest.raises(FencedError):
        staging.write(of("replay", 1, 6))
    assert progress(live) == {"replay": {TP0: 5}, "group": {TP0: 11}}
    successor = open_database(database_url)
    successor.prepare(catalog())
    assert successor.claim("group", [TP0]) == {TP0: 11}
    with pytest.raises(FencedError):
        live.write(of("group", 2, 12))
    live.promote("next")
    # Fenced is who was fenced before, although these tables have never seen the successor.
    with pytest.raises(FencedError):
        live.write(of("group", 2, 12))
    successor.write(of("group", 2, 12))
    staging.write(of("replay", 1, 6))
    assert progress(live) == {"group": {TP0: 12}}
    assert progress(staging) == {"replay": {TP0: 6}, "group": {TP0: 11}}
    successor.close()


@pytest.mark.parametrize(
    ("own", "filled", "carried"),
    [
        ({TP0: 10}, {"replay/1": {TP0: 4}, "replay/2": {TP0: 7}}, {TP0: 7}),
        ({TP0: 10}, {"replay/1": {TP0: 40}}, {TP0: 10}),
        ({TP0: 10, TP1: 10}, {"replay/1": {TP1: 4}}, {TP0: 10, TP1: 4}),
        ({TP0: 10}, {}, {TP0: 10}),
    ],
    ids=["the furthest of the replays", "its own", "by partition", "not filled from a topic"],
)
def test_a_group_goes_on_where_the_promoted_tables_end(
    live: DatabaseSink,
    staging: DatabaseSink,
    own: dict[TopicPartition, int],
    filled: dict[str, dict[TopicPartition, int]],
    carried: dict[TopicPartition, int],
) -> None:
    live.claim("group", own, description="of the group")
    live.write(replace(batch(0), offsets=own, source="group"))
    live.claim("replay/0", [TP0])
    live.write(replace(batch(1), offsets={TP0: 3}, source="replay/0"))
    for source, offsets in filled.items():
        staging.claim(source, offsets)
        staging.write(replace(batch(2), offsets=offsets, source=source))
    live.promote("next")
    assert progress(live) == {**filled, "group": carried}
    behind = {tp: offset for tp, offset in carried.items() if offset < own[tp]}
    ahead = {tp: offset + 1 for tp, offset in own.items()}
    if behind:
        with pytest.raises(SinkBehindError) as caught:
            live.write(replace(batch(3), offsets=ahead, source="group", held=own))
        assert caught.value.next_offsets == behind
    live.write(replace(batch(3), offsets=ahead, source="group", held=carried))
    assert progress(live)["group"] == ahead


@pytest.mark.slow
def test_readers_see_all_of_the_old_or_all_of_the_new(
    live: DatabaseSink, staging: DatabaseSink, database_url: str
) -> None:
    live.write(batch(0, repeat=5))
    staging.write(batch(0, repeat=7))
    seen: list[dict[str, int]] = []
    failures: list[Exception] = []
    stop = threading.Event()
    looked = threading.Semaphore(0)

    def look() -> None:
        reader = open_database(database_url)
        try:
            while not stop.is_set():
                seen.append(reader.counts())
                seen.append({event: held(reader, event).height for event in ("tool_created",)})
                looked.release()
        except Exception as error:
            failures.append(error)
            looked.release()
        reader.close()

    def write() -> None:
        writer = open_database(database_url)
        try:
            writer.prepare(catalog())
            while not stop.is_set():
                writer.write(batch(0, repeat=5))
        except Exception as error:
            failures.append(error)
        writer.close()

    threads = [threading.Thread(target=target) for target in (look, look, write)]
    for thread in threads:
        thread.start()
    for _ in range(10 if IS_CI else 4):
        assert looked.acquire(timeout=60)
        live.promote("next")
    stop.set()
    for thread in threads:
        thread.join(60)
    assert failures == []
    whole = [times(5), times(7)]
    assert all(counts in (*whole, {"tool_created": 5}, {"tool_created": 7}) for counts in seen)
    assert all(counts in seen for counts in whole)


def test_only_what_was_prepared_beside_is_exchanged(live: DatabaseSink) -> None:
    live.write(batch())
    staging = live.staging("next")
    staging.prepare([catalog().latest("tool_created")])
    live.promote("next")
    assert live.counts() == {**sizes(batch()), "tool_created": 0}
    assert staging.counts() == {"tool_created": sizes(batch())["tool_created"]}
    live.promote("next")
    assert live.counts() == sizes(batch())
    staging.close()


def test_what_only_the_other_has_is_added(database_url: str) -> None:
    live = open_database(database_url)
    live.prepare([catalog().latest("tool_created")])
    staging = live.staging("next")
    staging.prepare(catalog())
    staging.write(batch())
    swapping = open_database(database_url)
    swapping.promote("next")
    assert swapping.counts() == sizes(batch())
    assert staging.counts() == NONE_HELD
    swapping.promote("next")
    assert staging.counts() == sizes(batch())
    for sink in (live, staging, swapping):
        sink.close()


def test_a_consumer_of_an_older_version_writes_on_into_newer_tables(
    live: DatabaseSink, database_url: str, tmp_path: Path
) -> None:
    live.write(batch(0))
    new = with_second_version(tmp_path / "avro", "tool_created")
    newer = open_database(database_url)
    staging = newer.staging("next")
    staging.prepare([new])
    newer.promote("next")
    assert live.write(Batch(frames={"tool_created": batch(1).frames["tool_created"]})).written == {"tool_created": 1}
    newer.prepare([new])
    assert held(newer, "tool_created")["note"].to_list() == ["don't"]
    for sink in (newer, staging):
        sink.close()


def test_a_name_that_has_no_tables_is_told(live: DatabaseSink) -> None:
    live.write(batch())
    with pytest.raises(SinkError, match=r"next.* has no tables") as caught:
        live.promote("next")
    assert not caught.value.retryable
    assert live.counts() == sizes(batch())


def test_nothing_of_a_swap_stays_when_the_tables_beside_are_made_again(
    live: DatabaseSink, staging: DatabaseSink
) -> None:
    live.promote("next")
    live.promote("next")
    again = live.staging("other")
    again.prepare(catalog())
    again.write(batch())
    live.promote("other")
    live.promote("next")
    assert staging.counts() == sizes(batch())
    again.close()


@pytest.mark.parametrize("name", ["", "1st", "Next", "a b", "a-b", '"; --', "x" * 32, "ü", "next\n"])
def test_a_name_is_plain(live: DatabaseSink, name: str) -> None:
    for call in (live.staging, live.promote):
        with pytest.raises(ConfigurationError, match="not a name for staging tables"):
            call(name)


def test_the_longest_name_will_do(live: DatabaseSink) -> None:
    name = "x" * 23
    staging = live.staging(name)
    staging.prepare(catalog())
    live.promote(name)
    staging.close()


@pytest.mark.parametrize("kind", ["jsonl:-", "jsonl:///{}/events"])
def test_files_have_no_staging_tables(tmp_path: Path, kind: str) -> None:
    url = kind.format(tmp_path)
    assert not isinstance(open_sink(url), Stageable)
    with pytest.raises(
        SinkError, match=r"cannot have staging tables; these can: sqlite, postgresql, duckdb, clickhouse, delta, "
    ) as caught:
        open_target(url, "next")
    assert url in str(caught.value)
