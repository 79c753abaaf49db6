"""Errors that every reader raises in the same words."""

from __future__ import annotations

from collections.abc import Collection

from flowise_telemetry_transport.errors import TransportError, UnreadableRecordError
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["check_assigned", "unreadable"]


def check_assigned(partitions: Collection[TopicPartition], assigned: Collection[TopicPartition]) -> None:
    """Raises ``TransportError`` for the first of ``partitions`` that is not ``assigned``."""
    for tp in partitions:
        if tp not in assigned:
            name = f"{tp.topic}[{tp.partition}]"
            raise TransportError(f"{name} is not assigned", topic=tp.topic, partition=tp.partition)


def unreadable(tp: TopicPartition, offset: int, reason: str) -> UnreadableRecordError:
    """The error for a record that the client cannot parse."""
    return UnreadableRecordError(
        f"{tp.topic}[{tp.partition}] offset {offset} cannot be parsed: {reason}",
        topic=tp.topic,
        partition=tp.partition,
        offset=offset,
    )
