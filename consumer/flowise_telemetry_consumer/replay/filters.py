"""Which records of a range are wanted: what can be told before decoding, and what only afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import polars as pl

from flowise_telemetry_schemas import Catalog, ConfigurationError, EventSchema, Field
from flowise_telemetry_schemas.codec import HEADER_BYTES, MARKER
from flowise_telemetry_transport.types import Record

__all__ = ["RecordFilter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """What a replay takes of its range; empty: everything.

    ``from_ms`` and ``to_ms`` (exclusive) are about the time of each record, in milliseconds since 1970. ``events`` are
    names. ``where`` are fields that every event has, each with the values it may have: all of the fields have to fit.
    """

    from_ms: int | None = None
    to_ms: int | None = None
    events: tuple[str, ...] = ()
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def of(
        cls,
        catalog: Catalog,
        *,
        from_ms: int | None = None,
        to_ms: int | None = None,
        events: Iterable[str] = (),
        where: Iterable[tuple[str, str]] = (),
    ) -> Self:
        """A selection as a user gives it; fields by their name or column, a field given twice may have either value.

        Raises ``ConfigurationError`` that names what there is.
        """
        chosen = tuple(sorted(set(events)))
        for event in chosen:
            if event not in catalog.events:
                raise ConfigurationError(f"--event {event}: no such event; there are: {', '.join(catalog.events)}")
        shared = _shared_fields(catalog)
        values: dict[str, set[str]] = {}
        for name, value in where:
            field = shared.get(name)
            if field is None:
                known = ", ".join(dict.fromkeys(found.name for found in shared.values()))
                raise ConfigurationError(f"--where {name}: not a field that every event has; there are: {known}")
            _literal(field, value)
            values.setdefault(field.name, set()).add(value)
        return cls(
            from_ms=from_ms,
            to_ms=to_ms,
            events=chosen,
            where=tuple((name, tuple(sorted(values[name]))) for name in sorted(values)),
        )

    def filter_records(self, records: Sequence[Record], catalog: Catalog) -> Sequence[Record]:
        """The records that may be wanted: by their time, exactly, and by the fingerprint of their schema.

        A record that no schema of the catalog wrote is kept, whatever its event may be: it is a dead letter.
        """
        if self.from_ms is not None:
            low = self.from_ms
            records = [record for record in records if record.timestamp_ms >= low]
        if self.to_ms is not None:
            high = self.to_ms
            # Where there is no time (-1) it is not known to be within.
            records = [record for record in records if 0 <= record.timestamp_ms < high]
        if self.events:
            others = {MARKER + schema.fingerprint for schema in catalog if schema.event not in self.events}
            records = [record for record in records if (record.value or b"")[:HEADER_BYTES] not in others]
        return records

    def filter_rows(self, frames: Mapping[str, pl.DataFrame], catalog: Catalog) -> dict[str, pl.DataFrame]:
        """The rows that are wanted, by event; events without any are left out."""
        wanted = {event: frame for event, frame in frames.items() if not self.events or event in self.events}
        if self.where:
            wanted = {event: frame.filter(self._fits(catalog.latest(event))) for event, frame in wanted.items()}
        return {event: frame for event, frame in wanted.items() if frame.height}

    def within_time(self, column: pl.Expr) -> pl.Expr:
        """Whether a time is within, for what has no record: the rows of an archive."""
        milliseconds = column.dt.epoch("ms")
        low = pl.lit(value=True) if self.from_ms is None else milliseconds >= self.from_ms
        high = pl.lit(value=True) if self.to_ms is None else milliseconds < self.to_ms
        return low & high

    def _fits(self, schema: EventSchema) -> pl.Expr:
        fields = {field.name: field for field in schema.fields}
        return pl.all_horizontal(
            _column(fields[name]).is_in([_literal(fields[name], value) for value in values])
            for name, values in self.where
        )


def _shared_fields(catalog: Catalog) -> dict[str, Field]:
    """The plain fields that every event has, by name and by column."""
    latest = [catalog.latest(event) for event in catalog.events]
    shared = {}
    for field in latest[0].fields:
        kinds = {other.kind for schema in latest for other in schema.fields if other.name == field.name}
        everywhere = all(any(other.name == field.name for other in schema.fields) for schema in latest)
        if everywhere and kinds == {field.kind} and field.kind not in ("array", "record"):
            shared[field.name] = field
    return shared | {field.column: field for field in shared.values()}


def _column(field: Field) -> pl.Expr:
    column = pl.col(field.column)
    return column.dt.epoch("ms") if field.kind == "timestamp" else column


def _literal(field: Field, text: str) -> str | int | bool:
    try:
        match field.kind:
            case "int" | "long":
                return int(text)
            case "boolean":
                return {"true": True, "false": False}[text.lower()]
            case "timestamp":
                moment = datetime.fromisoformat(text)
                return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
            case "uuid":
                return text.lower()
    except (ValueError, KeyError, OverflowError):
        raise ConfigurationError(f"--where {field.name}: {text!r} is no {field.kind}") from None
    return text
