"""Events as JSON: ``{"event": "tool_created", "properties": {"version": "3.0.1", "toolId": "…", "toolName": "…"}}``."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from flowise_telemetry_schemas.catalog import Catalog, catalog
from flowise_telemetry_schemas.constraints import Violation, as_error, properties_violations, violations
from flowise_telemetry_schemas.errors import ValidationError
from flowise_telemetry_schemas.event_schema import EventSchema
from flowise_telemetry_schemas.events import Event
from flowise_telemetry_schemas.field import Field, flatten
from flowise_telemetry_schemas.own_classes import class_of, types_of
from flowise_telemetry_schemas.symbols import with_known_symbols

__all__ = [
    "event_from_json",
    "event_of_properties",
    "event_to_json",
    "milliseconds_of",
    "record_from_json",
    "record_to_json",
    "rfc3339",
    "wire_form",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_TIME_CHARACTERS = 64
_BOUNDS = ("pattern", "maxLength")
_WITHHELD = ("version", "nodeId", "functionName", "givenId")
_INDEX = re.compile(r"\[[0-9]+\]")


def event_from_json(document: object, *, bounds: bool = True, schemas: Catalog | None = None) -> Event:
    """Return the event of a JSON object, one of ``schemas``; None: of those that this package ships.

    A field may be given by name or by one of its aliases (``chatlowId``). ``version`` may be left out. A ``type`` that
    is none of the enum's symbols becomes ``OTHER``. Without ``bounds``, texts that the producer withholds, renames or
    hashes (node ids, tool names, ids of conversations, a ``type``) are left to it, whatever they say. Raises
    ``ValidationError`` with event, field and rule; its text never contains a value.
    """
    if not isinstance(document, Mapping):
        raise ValidationError('must be an object {"event": …, "properties": {…}}', event=None, field=None, rule="type")
    for key in ("event", "properties"):
        if key not in document:
            raise ValidationError(f"{key}: is missing", event=None, field=key, rule="required")
    if len(document) != 2:
        raise ValidationError("has a key beside event and properties", event=None, field=None, rule="unknown")
    name = document["event"]
    schemas = catalog() if schemas is None else schemas
    if not isinstance(name, str) or name not in schemas.events:
        known = ", ".join(schemas.events)
        raise ValidationError(f"event: must be one of {known}", event=None, field="event", rule="enum")
    schema = schemas.latest(name)
    properties = document["properties"]
    if isinstance(properties, Mapping):
        properties = _with_names(schema, properties)
    return event_of_properties(schema, properties, bounds=bounds)


def event_of_properties(schema: EventSchema, properties: Any, *, bounds: bool = True) -> Event:
    """Return the event of properties under their own names, as ``event_from_json`` does."""
    found = properties_violations(schema, with_known_symbols(schema, properties))
    if found and not bounds:
        found = [broken for broken in found if not _is_withheld(schema, broken)]
    if found:
        raise as_error(schema.event, found)
    readers = _readers(schema, bounds)
    values = {}
    for key, value in properties.items():
        column, read = readers[key]
        values[column] = value if read is None else read(value)
    event: Event = class_of(schema)(**values)  # or an event of the app's own, which has the same attributes
    return event


def _is_withheld(schema: EventSchema, violation: Violation) -> bool:
    """Return True for a bound that costs a value and not the event."""
    if violation.rule not in _BOUNDS:
        return False
    return _INDEX.sub("", violation.field) in _withheld_fields(schema)


@functools.cache
def _withheld_fields(schema: EventSchema) -> frozenset[str]:
    texts = ((path, field.items or field) for top in schema.fields for path, field in flatten(top))
    return frozenset(path.replace("[]", "") for path, field in texts if field.holds in _WITHHELD)


def _with_names(schema: EventSchema, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties with aliases replaced by names."""
    named = dict(properties)
    for alias, name in _aliases(schema):
        if alias in named:
            if name in named:
                raise as_error(schema.event, [Violation(alias, "alias", f"stands for {name}, which is given too")])
            named[name] = named.pop(alias)
    return named


@functools.cache
def _aliases(schema: EventSchema) -> tuple[tuple[str, str], ...]:
    return tuple((alias, field.name) for field in schema.fields for alias in field.aliases)


_Read = Callable[[Any], Any]


@functools.cache
def _readers(schema: EventSchema, bounds: bool) -> Mapping[str, tuple[str, _Read | None]]:
    """Return the column of each field, and the function that reads its value; None where it is taken as it is."""
    types = types_of(schema)
    return {field.name: (field.column, _reader(field, types, bounds=bounds)) for field in schema.fields}


def _reader(field: Field, types: Mapping[str, type[Any]], *, bounds: bool) -> _Read | None:
    read = _reader_of_value(field, types, bounds=bounds)
    if read is None or not field.nullable:
        return read
    return lambda value: None if value is None else read(value)


def _reader_of_value(field: Field, types: Mapping[str, type[Any]], *, bounds: bool) -> _Read | None:
    match field.kind:
        case "enum":
            enum, other = types[str(field.type_name)], field.other_symbol
            members = {symbol: enum(symbol) for symbol in field.symbols}

            def read_symbol(value: Any) -> Any:
                if value in members:
                    return members[value]
                # Without bounds the producer puts OTHER in its place, and counts it.
                return enum(value if other is None else other) if bounds else value

            return read_symbol
        case "array" if field.items is not None:
            item = _reader(field.items, types, bounds=bounds)
            return tuple if item is None else lambda value: tuple(map(item, value))
        case "record":
            kind = types[str(field.type_name)]
            below = tuple((its.name, its.column, _reader(its, types, bounds=bounds)) for its in field.fields)
            if all(name == column and its is None for name, column, its in below):
                return lambda value: kind(**value)  # an edge, of which a graph has many

            def read(value: Any) -> Any:
                given = {}
                for name, column, its in below:
                    if name in value:
                        given[column] = value[name] if its is None else its(value[name])
                return kind(**given)

            return read
    return None


def event_to_json(event: Event) -> dict[str, Any]:
    """Return the JSON object of an event, without ``version`` if the event has none."""
    properties = event.properties()
    if properties["version"] is None:
        del properties["version"]
    return {"event": event.EVENT, "properties": properties}


def record_to_json(schema: EventSchema, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record in wire form as JSON, with timestamps as RFC 3339 text in UTC."""
    timestamps = {field.name for field in schema.fields if field.kind == "timestamp"}
    return {
        "event": schema.event,
        "properties": {name: rfc3339(value) if name in timestamps else value for name, value in record.items()},
    }


def record_from_json(schema: EventSchema, properties: Mapping[str, Any]) -> tuple[dict[str, Any], list[Violation]]:
    """Return the record in wire form that ``record_to_json`` wrote, and every rule that it breaks.

    A field may be given by its name, one of its aliases or its column; a timestamp as RFC 3339 text, in UTC if it has
    no zone, or as milliseconds since 1970. Where a rule is broken the record is not to be used.
    """
    record, found = wire_form(schema, properties)
    told = {violation.field for violation in found}
    return record, found + [violation for violation in violations(schema, record) if violation.field not in told]


def wire_form(schema: EventSchema, properties: Mapping[str, Any]) -> tuple[dict[str, Any], list[Violation]]:
    """Return what ``record_from_json`` returns without a look at types and bounds."""
    names, timestamps = _spellings(schema)
    record: dict[str, Any] = {}
    found: list[Violation] = []
    for key, value in properties.items():
        name = names.get(key, key)
        if name in record:
            found.append(Violation(name, "alias", "is given under two names"))
        record[name] = value
    for name in timestamps:
        value = record.get(name)
        if isinstance(value, str):
            try:
                record[name] = milliseconds_of(value)
            except ValueError:
                found.append(Violation(name, "time", "must be a time such as 2026-01-31T12:00:00.000Z"))
    return record, found


@functools.cache
def _spellings(schema: EventSchema) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Return the names by what else they may be spelled as, and the fields that are times."""
    names = {other: field.name for field in schema.fields for other in (*field.aliases, field.column)}
    own = {field.name: field.name for field in schema.fields}
    return names | own, tuple(field.name for field in schema.fields if field.kind == "timestamp")


def rfc3339(milliseconds: int) -> str:
    """Format a time in milliseconds since 1970 as RFC 3339 text, in UTC and to the millisecond."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds_of(text: str) -> int:
    """Return a time in RFC 3339 text, in UTC if it has no zone, in milliseconds since 1970.

    Raises ``ValueError`` for anything else.
    """
    if len(text) > _MAX_TIME_CHARACTERS:
        raise ValueError("longer than any time")
    moment = datetime.fromisoformat(text)
    return ((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1)
