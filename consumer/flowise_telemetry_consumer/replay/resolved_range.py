"""Ranges of offsets as a replay's request was resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flowise_telemetry_consumer.reading.offset_range import MissingOffsets, OffsetRange
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["ResolvedRange"]


@dataclass(frozen=True, slots=True)
class ResolvedRange:
    """The offsets that a replay reads, and those of the request that retention had removed (``missing``).

    If the beginning is a time, the ``missing`` offsets may or may not have belonged to the range: the times of removed
    records are not known. ``topic_id`` is None if the client or the cluster does not report it.

    ``held_back`` are the offsets after the range's end that the topic held and no reader got, half-open: another
    producer's transaction was open. ``refused`` are those of events that the sink refused and that were left out.
    """

    offsets: OffsetRange
    missing: MissingOffsets = field(default_factory=dict)
    topic_id: str | None = None
    held_back: Mapping[TopicPartition, tuple[int, int]] = field(default_factory=dict)
    refused: MissingOffsets = field(default_factory=dict)
