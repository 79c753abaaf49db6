"""What every sink owes from which old events can be removed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from typing import Protocol, runtime_checkable

import polars as pl
import pytest

from flowise_telemetry_consumer.sinks import Batch, Prunable, open_sink
from flowise_telemetry_schemas import ToolCreated, catalog
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.sinks.batches import batch, batch_of, envelope, held, sizes
from tests.consumer.sinks.roles import ReadableSink, open_claimed
from tests.schemas.records import FLOW_ID

DAY_MS = 86_400_000
FIRST_MS = 1_700_000_000_123
TP0 = TopicPartition("flowise.telemetry.events", 0)


@runtime_checkable
class PrunableSink(ReadableSink, Prunable, Protocol):
    """A sink that can be read back and pruned."""


def opened(url: str) -> PrunableSink:
    sink = open_sink(url)
    if not isinstance(sink, PrunableSink):
        pytest.skip("this sink cannot be pruned")
    return sink


def at(*times_ms: int) -> Batch:
    """One event of a kind at each of these times, numbered in order."""
    return batch_of(
        *(
            (ToolCreated(version="3.0.1", tool_id=FLOW_ID, tool_name="search"), its)
            for its in (replace(envelope(number), occurred_at_ms=time_ms) for number, time_ms in enumerate(times_ms))
        )
    )


def pruned(sink: Prunable, before_ms: int, *, dry_run: bool = False) -> Mapping[str, int]:
    counts: Counter[str] = Counter()
    for step in sink.prune(before_ms, dry_run=dry_run):
        counts.update(step)
    return counts


def times(sink: ReadableSink) -> list[int]:
    return sorted(held(sink, "tool_created")["occurred_at"].dt.epoch("ms").to_list())


TIMES = [FIRST_MS - 40 * DAY_MS, FIRST_MS - DAY_MS, FIRST_MS - 1, FIRST_MS, FIRST_MS + 1, FIRST_MS + DAY_MS]


def test_what_is_older_goes_and_the_rest_stays_as_it_was(sink_url: str) -> None:
    with closing(opened(sink_url)) as sink:
        sink.prepare(catalog())
        sink.write(at(*TIMES))
        sink.write(batch(1_000))  # of every event, all later
        before = held(sink, "tool_created")
        assert pruned(sink, FIRST_MS, dry_run=True) == {"tool_created": 3}
        assert held(sink, "tool_created").equals(before)
        assert pruned(sink, FIRST_MS) == {"tool_created": 3}
        cut = pl.lit(FIRST_MS).cast(pl.Datetime("ms", "UTC"))
        assert held(sink, "tool_created").equals(before.filter(pl.col("occurred_at") >= cut))
        assert sink.counts() == sizes(batch()) | {"tool_created": 4}
        assert pruned(sink, FIRST_MS) == {}
        # It goes on as a sink: what it holds is known, what is new is added.
        assert sink.write(at(*TIMES)).written == {"tool_created": 3}


def test_it_is_pruned_by_a_process_that_prepared_nothing(sink_url: str) -> None:
    with closing(opened(sink_url)) as sink:
        sink.prepare(catalog())
        sink.write(at(*TIMES))
    with closing(opened(sink_url)) as other:
        assert pruned(other, FIRST_MS + 2 * DAY_MS) == {"tool_created": len(TIMES)}
        assert other.counts()["tool_created"] == 0
        assert pruned(other, FIRST_MS + 2 * DAY_MS, dry_run=True) == {}


def test_a_prune_that_stops_keeps_what_it_removed_and_goes_on(sink_url: str) -> None:
    with closing(opened(sink_url)) as sink:
        sink.prepare(catalog())
        sink.write(at(*TIMES))
        removed = next(iter(sink.prune(FIRST_MS)))["tool_created"]
        assert times(sink) == TIMES[removed:]
        pruned(sink, FIRST_MS)
        assert times(sink) == TIMES[3:]


def test_progress_stays_and_a_consumer_goes_on_meanwhile(claimed_url: str) -> None:
    with closing(open_claimed(claimed_url)) as consumer:
        consumer.prepare(catalog())
        consumer.claim("group", [TP0])
        consumer.write(replace(at(*TIMES), offsets={TP0: 6}, source="group"))
        with closing(opened(claimed_url)) as sink:
            for number, _ in enumerate(sink.prune(FIRST_MS), start=1):
                consumer.write(replace(batch(number), offsets={TP0: 6 + number}, source="group"))
        (progress,) = consumer.progress()
        assert progress.next_offsets[TP0] >= 7
        assert min(times(consumer)) >= FIRST_MS
        assert consumer.write(batch(1)).written == dict.fromkeys(sizes(batch()), 0)


@pytest.mark.parametrize("url", ["jsonl:-"])
def test_what_cannot_be_pruned_has_not_the_role(url: str) -> None:
    assert not isinstance(open_sink(url), Prunable)
