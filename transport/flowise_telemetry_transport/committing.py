"""Commits that are waited for, where the outcome is wanted by a callback."""

from __future__ import annotations

from collections.abc import Mapping

from flowise_telemetry_transport.errors import TransportError
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import OnCommitted, TopicPartition

__all__ = ["commit_and_tell"]


def commit_and_tell(
    reader: RecordReader, offsets: Mapping[TopicPartition, int], on_done: OnCommitted, *, timeout_seconds: float
) -> None:
    """Commit, wait for the answer, and call ``on_done`` with the error if it failed."""
    try:
        reader.commit(offsets, timeout_seconds=timeout_seconds)
    except TransportError as error:
        on_done(error)
    else:
        on_done(None)
