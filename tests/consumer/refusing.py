"""A sink that refuses events by a rule of others."""

from __future__ import annotations

from collections.abc import Collection

from flowise_telemetry_consumer.errors import RowRefusedError
from flowise_telemetry_consumer.sinks import Batch
from tests.consumer.world import World

__all__ = ["RULE", "refuse", "rows"]

RULE = "refused: CheckViolation no_tools in tool_created"


def rows(batch: Batch) -> int:
    """How many rows a batch has."""
    return sum(frame.height for frame in batch.frames.values())


def refuse(world: World, refused: Collection[str]) -> None:
    """Have the sink refuse any batch that has one of these events."""

    def on_write(batch: Batch) -> None:
        if any(identity in refused for frame in batch.frames.values() for identity in frame["event_id"]):
            raise RowRefusedError(RULE)

    world.sink.on_write = on_write
