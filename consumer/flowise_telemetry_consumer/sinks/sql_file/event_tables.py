"""Statements on tables of events, of which each database has a module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

import polars as pl

from flowise_telemetry_consumer.sinks.sql_file.database import Connection
from flowise_telemetry_schemas import EventSchema

__all__ = ["EventTables"]

C_contra = TypeVar("C_contra", bound=Connection, contravariant=True)


class EventTables(Protocol[C_contra]):
    """Statements on tables of events; each database has a module of them."""

    def make_table(self, db: C_contra, table: str, schema: EventSchema, held: frozenset[str]) -> None:
        """Create the table of an event, or add the columns beyond those that it has, ``held``."""

    def exchange(self, db: C_contra, one: str, other: str) -> None:
        """Exchange the names of two tables, inside a transaction."""

    DAY: str
    EVER: str

    def insert(self, db: C_contra, table: str, schema: EventSchema, frame: pl.DataFrame) -> pl.DataFrame:
        """Add the rows whose event is new; return those."""

    def append(self, db: C_contra, table: str, schema: EventSchema, frame: pl.DataFrame) -> None:
        """Add rows that have no id."""

    def count_before(self, db: C_contra, table: str, before_ms: int) -> int:
        """Return the number of events that occurred before a time."""

    def delete_before(self, db: C_contra, table: str, before_ms: int) -> int:
        """Delete some of the events that occurred before a time, oldest first; return their number, 0 at the end."""

    def columns(self, db: C_contra, table: str) -> frozenset[str]:
        """Return the columns of a table; none if there is no such table."""

    def all_columns(self, db: C_contra) -> dict[str, frozenset[str]]:
        """Return the columns of each table."""

    def frames_of(self, db: C_contra, table: str, schema: EventSchema, *, batch_rows: int) -> Iterator[pl.DataFrame]:
        """Yield all rows, at most ``batch_rows`` a frame."""
