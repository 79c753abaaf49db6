"""The constraints of a schema, checked on rows that come from an archive instead of a topic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from flowise_telemetry_consumer.decoding.column_checks import valid_rows
from flowise_telemetry_consumer.decoding.frames import times_as_numbers, wire_records
from flowise_telemetry_schemas import EventSchema, Violation, violations

__all__ = ["BadRow", "CheckedRows", "check_rows"]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that breaks its schema: its number in the frame, from 0, and every broken rule."""

    number: int
    violations: Sequence[Violation]


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """Rows that keep every rule of their schema, and those that do not; both in the order of the frame."""

    good: pl.DataFrame
    bad: Sequence[BadRow]


def check_rows(schema: EventSchema, frame: pl.DataFrame) -> CheckedRows:
    """Divide the rows of a frame in the shape of ``polars_schema`` by what the schema says of their values."""
    good = valid_rows(frame.with_columns(times_as_numbers(schema)), schema)
    if good.all():
        return CheckedRows(frame, ())
    doubtful = (~good).arg_true()
    bad = []
    fine = []
    for number, record in zip(doubtful, wire_records(schema, frame[doubtful]), strict=True):
        found = violations(schema, record)
        if found:
            bad.append(BadRow(number, found))
        else:
            fine.append(number)
    if fine:  # the columns' checks are stricter than the rules
        good = good.scatter(fine, values=True)
    return CheckedRows(frame.filter(good), bad)
