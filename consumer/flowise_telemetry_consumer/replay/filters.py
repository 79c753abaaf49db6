"""Filters of a replay: by time and event before decoding, by the fields of an event after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import polars as pl

from flowise_telemetry_consumer.decoding.framing import schema_of
from flowise_telemetry_schemas import Catalog, ConfigurationError, EventSchema, Field
from flowise_telemetry_transport.types import Record

__all__ = ["RecordFilter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """The records of its range that a replay writes; by default all of them.

    ``from_ms`` and ``to_ms`` (exclusive) bound the time of each record, in milliseconds since 1970. ``events`` are
    names. ``where`` names fields that every event has, each with its accepted values: all of the fields have to match.
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
        """Make a filter from user input: fields by name or column; a field given twice may have either value.

        Raises ``ConfigurationError`` that lists the events or fields to choose from.
        """
        chosen = tuple(sorted(set(events)))
        for event in chosen:
            if event not in catalog.names:
                raise ConfigurationError(
                    f"there is no event {event}; there are: {', '.join(catalog.names)}", argument="events"
                )
        shared = _shared_fields(catalog)
        values: dict[str, set[str]] = {}
        for name, value in where:
            field = shared.get(name)
            if field is None:
                known = ", ".join(dict.fromkeys(found.name for found in shared.values()))
                raise ConfigurationError(
                    f"{name} is not a field that every event has; there are: {known}", argument="where"
                )
            _literal(field, value)
            values.setdefault(field.name, set()).add(value)
        return cls(
            from_ms=from_ms,
            to_ms=to_ms,
            events=chosen,
            where=tuple((name, tuple(sorted(values[name]))) for name in sorted(values)),
        )

    def filter_records(self, records: Sequence[Record], catalog: Catalog) -> Sequence[Record]:
        """Return the records that may be wanted, by time and by the event of the writer's schema.

        A record of an unknown schema is kept whichever events are chosen: it becomes a dead letter. Raises a retryable
        error as long as the registry, which some may name their schema by, gives no answer.
        """
        if self.from_ms is not None:
            low = self.from_ms
            records = [record for record in records if record.timestamp_ms >= low]
        if self.to_ms is not None:
            high = self.to_ms
            # A record without a time (-1) is not known to be in the range.
            records = [record for record in records if 0 <= record.timestamp_ms < high]
        if self.events:
            written = ((record, schema_of(record, catalog)) for record in records)
            records = [record for record, schema in written if schema is None or schema.event in self.events]
        return records

    def filter_rows(self, frames: Mapping[str, pl.DataFrame], catalog: Catalog) -> dict[str, pl.DataFrame]:
        """Return the rows that are wanted, by event, without events that have none."""
        wanted = {event: frame for event, frame in frames.items() if not self.events or event in self.events}
        if self.where:
            wanted = {event: frame.filter(self._matches(catalog.latest(event))) for event, frame in wanted.items()}
        return {event: frame for event, frame in wanted.items() if frame.height}

    def within_time(self, column: pl.Expr) -> pl.Expr:
        """Return the condition that a time is in the range, for the rows of an archive."""
        milliseconds = column.dt.epoch("ms")
        low = pl.lit(value=True) if self.from_ms is None else milliseconds >= self.from_ms
        high = pl.lit(value=True) if self.to_ms is None else milliseconds < self.to_ms
        return low & high

    def _matches(self, schema: EventSchema) -> pl.Expr:
        fields = {field.name: field for field in schema.fields}
        return pl.all_horizontal(
            _column(fields[name]).is_in([_literal(fields[name], value) for value in values])
            for name, values in self.where
        )


def _shared_fields(catalog: Catalog) -> dict[str, Field]:
    """Return the scalar fields that every record has, by name and by column."""
    latest = [catalog.latest(name) for name in catalog.names]
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
        raise ConfigurationError(
            f"{text!r} is not a value of {field.name}, which is of type {field.kind}", argument="where"
        ) from None
    return text
