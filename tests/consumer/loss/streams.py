"""Batches of streams: events by their numbers, and what a stream tells of itself."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import polars as pl

from flowise_telemetry_consumer.decoding.frames import frame_of
from flowise_telemetry_consumer.loss import Loss, Outcome, loss_of
from flowise_telemetry_consumer.sinks import Batch, Sink
from flowise_telemetry_schemas import Envelope, ToolCreated, catalog
from tests.consumer.sinks.batches import envelope
from tests.schemas.records import FLOW_ID, STATE, record_of

__all__ = ["DAY_MS", "NOW_MS", "account_of", "batch_with", "dropped", "events", "state", "stream_id"]

DAY_MS = 86_400_000
NOW_MS = 1_700_000_000_123
"""14 November 2023, 22:13:20 UTC."""

_TOOL = ToolCreated(version="3.0.1", tool_id=FLOW_ID, tool_name="search")
_SPACE = uuid.UUID("0b7ac60e-51a4-4bb5-a6a5-f1ae0fd1cf8f")


def stream_id(name: str) -> str:
    return str(uuid.uuid5(_SPACE, name))


def _envelope(name: str, number: int, at_ms: int, control: bool = False) -> Envelope:
    made = uuid.uuid5(_SPACE, f"{name} {number} {control}").int & ((1 << 62) - 1)
    return replace(
        envelope(number),
        event_id=str(uuid.UUID(int=at_ms << 80 | 7 << 76 | 2 << 62 | made)),
        occurred_at_ms=at_ms,
        stream_id=stream_id(name),
        sequence=number,
    )


def events(name: str, numbers: Iterable[int], at_ms: int = NOW_MS) -> pl.DataFrame:
    """Events of a stream; the same number is the same event."""
    records = [record_of(_TOOL, _envelope(name, number, at_ms)) for number in numbers]
    return frame_of(catalog().latest("tool_created"), records)


def state(name: str, number: int = 0, at_ms: int = NOW_MS, **told: Any) -> pl.DataFrame:
    """What a stream tells: ``numbered``, ``waiting``, ``ended``, ``droppedQueueFull`` and so on."""
    zero = {key: 0 for key in STATE if key.startswith("dropped")}
    its = _envelope(name, number, at_ms, control=True).fields()
    record = {**STATE, **zero, "waiting": 0, "ended": False, **its, **told}
    return frame_of(catalog().latest("stream_state"), [record])


def batch_with(*frames: pl.DataFrame) -> Batch:
    """One batch of these frames."""
    by_event: dict[str, list[pl.DataFrame]] = {}
    for frame in frames:
        by_event.setdefault("stream_state" if "numbered" in frame.columns else "tool_created", []).append(frame)
    return Batch({event: pl.concat(its) for event, its in by_event.items()})


def account_of(sink: Sink, now_ms: int = NOW_MS) -> Loss:
    """The answer of a sink, which has to add up, by day and instance too."""
    loss = loss_of(sink, now_ms=now_ms)
    parts = [*loss.by_day.values()], [*loss.by_instance.values()]
    for group in parts:
        assert sum(group, Outcome()) == replace(loss.total, dropped=dropped(loss.total))
    for outcome in (loss.total, *parts[0], *parts[1]):
        whole = outcome.written + sum(outcome.dropped.values()) + outcome.on_the_way + outcome.unexplained
        assert outcome.numbered == whole - outcome.arrived_anyway
        assert min(outcome.numbered, outcome.on_the_way, outcome.unexplained, outcome.arrived_anyway) >= 0
    return loss


def dropped(outcome: Outcome) -> dict[str, int]:
    """Drops by reason, without those that are none."""
    return {reason: count for reason, count in outcome.dropped.items() if count}
