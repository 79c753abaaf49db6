"""Lines of JSON to records: any JSON of the shape ``{"event": …, "properties": {…}}``, whoever wrote it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowise_telemetry_consumer.archives.content_id import content_id
from flowise_telemetry_consumer.archives.rejects import Reject
from flowise_telemetry_consumer.archives.text_file import MAX_LINE_BYTES
from flowise_telemetry_schemas import EventSchema
from flowise_telemetry_schemas.json_mapping import record_from_json

__all__ = [
    "NO_EVENT",
    "LineFaultError",
    "LineParser",
    "Parsed",
    "event_of_line",
    "json_of",
    "record_or_reject",
    "schema_of",
    "text_of",
]

_SHAPE = 'must be an object {"event": …, "properties": {…}} on a line of its own'

NO_EVENT = frozenset({"json", "cut", "encoding", "too_long", "shape", "csv"})
"""Rules that a line breaks which may be anything: a file without any other line is none of ours."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A valid record of an event."""

    event: str
    record: Mapping[str, Any]


class LineFaultError(Exception):
    """Why a line holds no event, before any of its fields is looked at."""

    def __init__(self, rule: str, message: str, *, field: str = "", event: str | None = None) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.field = field
        self.event = event

    def reject(self, source: str, line: int) -> Reject:
        """Return it as that of a line of a file."""
        return Reject(
            source=source, line=line, rule=self.rule, message=self.message, field=self.field, event=self.event
        )


class LineParser:
    """Parses and checks lines of a file one by one.

    ``make_ids`` gives an event without ``eventId`` one that its content decides.
    """

    def __init__(self, source: str, schemas: Mapping[str, EventSchema], *, make_ids: bool = False) -> None:
        self.source = source
        self._schemas = schemas
        self._make_ids = make_ids

    def parse(self, line: bytes, number: int, *, is_cut: bool = False) -> Parsed | Reject:
        """Return the record of a line, or what is wrong with it. Raises nothing for its content."""
        try:
            schema, properties = event_of_line(line, self._schemas, is_cut=is_cut)
        except LineFaultError as fault:
            return fault.reject(self.source, number)
        return record_or_reject(schema, properties, self.source, number, make_ids=self._make_ids)


def event_of_line(
    line: bytes, schemas: Mapping[str, EventSchema], *, is_cut: bool = False
) -> tuple[EventSchema, Mapping[str, Any]]:
    """Return the schema and the properties of a line's event. Raises ``LineFaultError`` for anything else."""
    document = json_of(text_of(line), is_cut=is_cut)
    if not isinstance(document, dict) or not {"event", "properties"} <= document.keys():
        raise LineFaultError("shape", _SHAPE)
    event, properties = document["event"], document["properties"]
    if not isinstance(event, str):
        raise LineFaultError("type", "must be a string", field="event")
    schema = schema_of(event, schemas)
    if not isinstance(properties, dict):
        raise LineFaultError("type", "must be an object", field="properties", event=event)
    if len(document) > 2:
        raise LineFaultError("unknown", "has a key beside event and properties", event=event)
    return schema, properties


def schema_of(event: str, schemas: Mapping[str, EventSchema]) -> EventSchema:
    """Return the schema of an event that is named. Raises ``LineFaultError``."""
    if event not in schemas:
        raise LineFaultError("unknown_event", f"must be one of {', '.join(schemas)}", field="event")
    return schemas[event]


def text_of(line: bytes) -> str:
    """Return the text of a line. Raises ``LineFaultError``."""
    if len(line) > MAX_LINE_BYTES:
        raise LineFaultError("too_long", f"is longer than {MAX_LINE_BYTES} bytes")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise LineFaultError("encoding", f"is not UTF-8 at byte {error.start + 1}") from None


def json_of(text: str, *, is_cut: bool = False) -> Any:
    """Return the value of a JSON text. Raises ``LineFaultError``, also for NaN and for a key that stands twice."""
    try:
        return _DECODE(text)
    except LineFaultError:
        raise
    except (ValueError, RecursionError) as error:
        if is_cut:
            raise LineFaultError("cut", "ends in the middle: the file was cut") from None
        column = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise LineFaultError("json", f"is not JSON{column}") from None


def record_or_reject(
    schema: EventSchema, properties: Mapping[str, Any], source: str, number: int, *, make_ids: bool
) -> Parsed | Reject:
    """Return the record of an event's fields, or the rules that it breaks."""
    lacks_id = make_ids and not (properties.get("eventId") or properties.get("event_id"))
    if lacks_id:
        others = {name: value for name, value in properties.items() if name not in {"eventId", "event_id"}}
        properties = {**others, "eventId": _ID_TO_BE_MADE}
    record, found = record_from_json(schema, properties)
    if found:
        return Reject.of_violations(source, found, line=number, event=schema.event)
    if lacks_id:
        record["eventId"] = content_id(schema, record)
    return Parsed(schema.event, record)


_ID_TO_BE_MADE = "00000000-0000-7000-8000-000000000000"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise LineFaultError("duplicate", "has a key twice in one object")
    return made


def _refuse(_: str) -> None:
    """Refuse NaN and Infinity, which JSON does not have (RFC 8259 section 6)."""
    raise ValueError


_DECODE = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse).decode
