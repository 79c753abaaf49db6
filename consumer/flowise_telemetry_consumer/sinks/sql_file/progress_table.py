"""Statements on the progress table that differ between databases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from flowise_telemetry_consumer.sinks.claims import Advance, ProgressRow, Stored
from flowise_telemetry_consumer.sinks.sql_file.database import Connection
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["ProgressTable"]

C_contra = TypeVar("C_contra", bound=Connection, contravariant=True)


class ProgressTable(Protocol[C_contra]):
    """Statements on the progress table; each database has a module of them."""

    def make_progress_table(self, db: C_contra, table: str) -> None:
        """Create the table if it is missing."""

    def claim(
        self, db: C_contra, table: str, source: str, partition: TopicPartition, description: str
    ) -> tuple[int | None, int]:
        """Claim a partition; return its next offset (None if nothing was written) and the epoch of the new claim."""

    def advance(self, db: C_contra, table: str, source: str, step: Advance) -> bool:
        """Advance a partition; return False, having changed nothing, if its epoch is not ours or less is stored."""

    def stored_of(self, db: C_contra, table: str, source: str) -> Mapping[TopicPartition, Stored]:
        """Return what is stored of a source."""

    def carry(self, db: C_contra, old: str, new: str, row: ProgressRow, next_offset: int | None) -> None:
        """Carry a claim over to the table that takes over the name, and the offset where that knows nothing of it."""

    def rows_of(self, db: C_contra, table: str) -> Iterable[ProgressRow]:
        """Yield all rows; none if there is no such table yet."""
