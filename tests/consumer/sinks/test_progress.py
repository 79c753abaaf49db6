"""What every sink with tables owes its sources: their progress with the rows, one writer at a time, locks."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flowise_telemetry_consumer.errors import FencedError, SinkBehindError, SinkError, SinkInUseError
from flowise_telemetry_consumer.sinks import Batch, KeepsProgress, SourceProgress, Stageable, open_sink
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.sinks.batches import batch, sizes
from tests.consumer.sinks.roles import ClaimedSink, open_claimed
from tests.consumer.sinks.writer_process import ROOT

TP0, TP1, TP2 = (TopicPartition("flowise.telemetry.events", number) for number in range(3))


@pytest.fixture
def database(claimed_url: str) -> Iterator[ClaimedSink]:
    opened = open_claimed(claimed_url)
    opened.prepare(catalog())
    yield opened
    opened.close()


@pytest.fixture
def second(claimed_url: str) -> Iterator[ClaimedSink]:
    opened = open_claimed(claimed_url)
    opened.prepare(catalog())
    yield opened
    opened.close()


def of_group(number: int, offsets: dict[TopicPartition, int], source: str = "group") -> Batch:
    return replace(batch(number), offsets=offsets, source=source)


def offsets_of(sink: ClaimedSink, source: str = "group") -> dict[TopicPartition, int]:
    return next(dict(its.next_offsets) for its in sink.progress() if its.source == source)


def test_of_a_first_claim_nothing_is_known(database: ClaimedSink) -> None:
    assert database.claim("group", [TP0, TP1]) == {}
    assert offsets_of(database) == {}


def test_a_claim_says_how_far_the_partitions_are_written(database: ClaimedSink, second: ClaimedSink) -> None:
    database.claim("group", [TP0, TP1, TP2])
    database.write(of_group(0, {TP0: 17, TP2: 2**40}))
    assert second.claim("group", [TP2, TP1, TP0]) == {TP0: 17, TP2: 2**40}
    assert second.claim("group", iter([TP0])) == {TP0: 17}
    assert second.claim("group", []) == {}


def test_offsets_without_frames_move_the_progress(database: ClaimedSink) -> None:
    database.claim("group", [TP0])
    result = database.write(Batch(frames={}, offsets={TP0: 5}, source="group"))
    assert (result.written, result.duplicates) == ({}, {})
    assert offsets_of(database) == {TP0: 5}


def test_offsets_that_go_back_are_kept_as_they_are(database: ClaimedSink) -> None:
    database.claim("group", [TP0])
    for offset in (9, 3):
        database.write(Batch(frames={}, offsets={TP0: offset}, source="group"))
        assert offsets_of(database) == {TP0: offset}


def test_only_what_was_claimed_is_kept(database: ClaimedSink) -> None:
    database.claim("group", [TP0])
    database.write(of_group(0, {TP0: 1, TP1: 2}))
    database.write(of_group(1, {TP0: 9}, source="another"))
    database.write(replace(batch(2), offsets={TP0: 9}))
    assert database.counts() == {event: 3 * size for event, size in sizes(batch()).items()}
    assert [its.source for its in database.progress()] == ["group"]
    assert offsets_of(database) == {TP0: 1}


def test_progress_moves_with_the_rows_or_not_at_all(database: ClaimedSink, second: ClaimedSink) -> None:
    database.claim("group", [TP0])
    database.lock("group")
    database.write(of_group(0, {TP0: 1}))
    frames = dict(batch(1).frames)
    frames["tool_created"] = frames["tool_created"].with_columns(version=None)
    with pytest.raises(SinkError):
        database.write(Batch(frames=frames, offsets={TP0: 2}, source="group"))
    assert offsets_of(database) == {TP0: 1}
    assert database.counts() == sizes(batch())
    # Claim and lock outlive the failure, and whatever connection it cost.
    with pytest.raises(SinkInUseError):
        second.lock("group")
    database.write(of_group(1, {TP0: 2}))
    assert offsets_of(database) == {TP0: 2}


def test_a_writer_whose_partition_was_claimed_since_changes_nothing(database: ClaimedSink, second: ClaimedSink) -> None:
    database.claim("group", [TP0, TP1])
    database.write(of_group(0, {TP0: 10, TP1: 10}))
    assert second.claim("group", [TP1]) == {TP1: 10}
    for _ in range(2):
        with pytest.raises(FencedError, match=r"flowise\.telemetry\.events\[1\] of 'group'") as caught:
            database.write(of_group(1, {TP0: 20, TP1: 20}))
        assert not caught.value.retryable
        assert (caught.value.topic, caught.value.partition) == TP1
    assert database.counts() == sizes(batch())
    assert offsets_of(second) == {TP0: 10, TP1: 10}
    # What nobody took is still its own, and so is what the new owner has.
    database.write(of_group(1, {TP0: 20}))
    second.write(of_group(2, {TP1: 30}))
    assert offsets_of(second) == {TP0: 20, TP1: 30}


def test_a_batch_is_refused_where_less_is_stored_than_was_held(database: ClaimedSink) -> None:
    # As after a restored copy: the claim is there, and what was written since is not.
    database.claim("group", [TP0, TP1, TP2])
    database.write(of_group(0, {TP0: 10, TP1: 10}))
    after = of_group(1, {TP0: 30, TP1: 30, TP2: 30})
    for _ in range(2):
        with pytest.raises(SinkBehindError, match=r"events\[0\] at 10, was at 20") as caught:
            database.write(replace(after, held={TP0: 20, TP1: 10, TP2: 5}))
        assert caught.value.next_offsets == {TP0: 10, TP2: 0}
        assert not caught.value.retryable
        assert database.counts() == sizes(batch())
        assert offsets_of(database) == {TP0: 10, TP1: 10}
    database.write(replace(after, held={TP0: 9, TP1: 10}))
    assert offsets_of(database) == {TP0: 30, TP1: 30, TP2: 30}


def test_two_that_claim_in_turn_fence_each_other(database: ClaimedSink, second: ClaimedSink) -> None:
    for number in range(3):
        for winner, loser in ((database, second), (second, database)):
            winner.claim("group", [TP0])
            winner.write(of_group(number, {TP0: number}))
            if number:
                with pytest.raises(FencedError):
                    loser.write(of_group(7, {TP0: 7}))
    assert database.counts() == {event: 3 * size for event, size in sizes(batch()).items()}


def test_sources_do_not_fence_each_other(database: ClaimedSink, second: ClaimedSink) -> None:
    database.claim("group", [TP0])
    second.claim("replay", [TP0])
    database.write(of_group(0, {TP0: 1}))
    second.write(of_group(1, {TP0: 2}, source="replay"))
    assert [dict(its.next_offsets) for its in database.progress()] == [{TP0: 1}, {TP0: 2}]


def test_a_close_does_not_give_up_a_claim(database: ClaimedSink) -> None:
    database.claim("group", [TP0])
    database.close()
    database.write(of_group(0, {TP0: 1}))
    assert offsets_of(database) == {TP0: 1}


def test_progress_tells_of_every_source(database: ClaimedSink, claimed_url: str) -> None:
    before_ms = int(time.time() * 1000) - 60_000
    odd = "'; DROP TABLE tool_created; -- ü%s"
    database.claim("b", [TP0], description="first")
    first_ms = int(time.time() * 1000)
    while int(time.time() * 1000) == first_ms:
        pass  # a claim of the same millisecond would be as late as the first
    database.claim("b", [TP1], description=odd)
    database.claim(odd, [TopicPartition(odd, 3)])
    # A write is no claim: it does not speak for the source.
    database.write(of_group(0, {TP0: 4}, source="b"))
    reader = open_claimed(claimed_url)
    strange, known = reader.progress()
    assert known == SourceProgress("b", odd, {TP0: 4}, known.updated_at_ms)
    assert (strange.source, strange.description, strange.next_offsets) == (odd, "", {})
    assert known.updated_at_ms >= strange.updated_at_ms >= before_ms
    assert known.updated_at_ms < before_ms + 600_000
    reader.close()


def test_a_sink_that_was_never_claimed_has_no_progress(database: ClaimedSink) -> None:
    database.write(of_group(0, {TP0: 4}))
    assert database.progress() == []


@pytest.mark.in_another_process
@pytest.mark.slow
def test_who_is_killed_between_two_writes_is_gone_on_from_where_he_was(database: ClaimedSink, claimed_url: str) -> None:
    code = f"""
import os, signal
from dataclasses import replace
from tests.consumer.sinks.test_progress import *
sink = open_claimed({claimed_url!r})
sink.prepare(catalog())
sink.claim("group", [TP0])
sink.lock("group")
sink.write(of_group(0, {{TP0: 1}}))
os.kill(os.getpid(), signal.SIGKILL)
"""
    # Not every kind lets two processes in.
    database.close()
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False)
    assert killed.returncode == -9
    deadline = time.monotonic() + 60
    # On object storage a lock outlives who was killed by minutes.
    while "+s3:" not in claimed_url:
        try:
            database.lock("group")
            break
        except SinkInUseError:
            # A server learns of the death of its client a moment later.
            assert time.monotonic() < deadline
    assert database.claim("group", [TP0]) == {TP0: 1}
    database.write(of_group(1, {TP0: 2}))
    assert offsets_of(database) == {TP0: 2}


def test_a_lock_is_had_by_one_until_it_closes(database: ClaimedSink, claimed_url: str) -> None:
    other = open_claimed(claimed_url)
    for name in ("replay", "../odd name\n'ü" + "x" * 300):
        database.lock(name)
        database.lock(name)
        for _ in range(2):
            with pytest.raises(SinkInUseError, match="another process has") as caught:
                other.lock(name)
            assert not caught.value.retryable
            assert "\n" not in str(caught.value)
    other.lock("another")
    database.close()
    other.lock("replay")
    other.close()
    database.lock("replay")


def test_no_name_grows_with_the_topic_s_or_the_group_s(claimed_url: str) -> None:
    """Kafka takes topics of 249 characters, dots and dashes among them, and groups of any length."""
    places = [TopicPartition(first + "-" * 247 + ".", 2**31 - 1) for first in "ab"]
    source = "g" * 254 + "/"
    live = open_claimed(claimed_url)
    staging = "s" * 20  # in PostgreSQL it follows the schema's name, of 63 bytes together
    sinks = [live, live.staging(staging)] if isinstance(live, Stageable) else [live]
    for sink in sinks:
        sink.prepare(catalog())
        sink.lock(source)
        sink.claim(source, places)
        sink.write(of_group(0, dict.fromkeys(places, 2**40), source))
        assert offsets_of(sink, source) == dict.fromkeys(places, 2**40)
        sink.close()
    if isinstance(live, Stageable):
        live.promote(staging)
        assert offsets_of(live, source) == dict.fromkeys(places, 2**40)
    live.close()


def test_lines_keep_no_progress(tmp_path: Path) -> None:
    for sink in (open_sink("jsonl:-"), open_sink(f"jsonl:///{tmp_path}/events")):
        assert not isinstance(sink, KeepsProgress)
        sink.prepare(catalog())
        assert sink.write(Batch(frames={}, offsets={TP0: 1}, source="group")).written == {}
        sink.close()
        sink.close()
