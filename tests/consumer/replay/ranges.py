"""Replays of a part of a topic: what the tests of bounds, filters, offsets and shards share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flowise_telemetry_consumer import (
    BatchLimits,
    Bound,
    RecordFilter,
    ReplayRequest,
    ReplayResult,
    Shard,
    replay,
)
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.types import OutgoingRecord
from tests.consumer.world import TOPIC, World, value_of

NOW_MS = 1_700_000_000_000


DAY_MS = 86_400_000


def bound(text: str) -> Bound:
    return Bound.parse(text, now_ms=NOW_MS, argument="begin")


def ran(
    world: World,
    *,
    begin: str | None = None,
    end: str | None = None,
    partitions: Iterable[int] = (),
    events: Iterable[str] = (),
    where: Iterable[tuple[str, str]] = (),
    shard: Shard | None = None,
    rows: int = 1_000,
) -> ReplayResult:
    request = ReplayRequest(
        topic=TOPIC,
        begin=None if begin is None else bound(begin),
        end=None if end is None else bound(end),
        partitions=tuple(partitions),
        record_filter=RecordFilter.of(catalog(), events=events, where=where),
    )
    result = replay(
        world.reader(None),
        world.sink,
        catalog(),
        request,
        shard=shard,
        batch=BatchLimits(rows=rows),
        control=world.control,
    )
    assert result.discrepancies() == []
    assert result.complete
    return result


def send_at(world: World, times_ms: Sequence[int], *, partition: int = 0) -> None:
    """Sends event ``number`` at ``times_ms[number]``."""
    writer = world.broker.open_writer()
    for number, time_ms in enumerate(times_ms):
        outgoing = OutgoingRecord(TOPIC, b"k", value_of(number), timestamp_ms=time_ms, partition=partition)
        writer.send(outgoing, lambda delivery, error: None)
    writer.flush(timeout_seconds=1)


def numbers(world: World) -> list[int]:
    return sorted(int(found[-12:], 16) for found in world.sink.event_ids())
