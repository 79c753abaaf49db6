"""Classes of events of an app's own, made from their schemas while the program runs: for JSON, and for a preview.

An app has better ones, typed and in a file, by ``schemas generate``. Both are sent alike.
"""

from __future__ import annotations

import functools
from dataclasses import field as attribute
from dataclasses import make_dataclass
from enum import StrEnum
from typing import Any

from flowise_telemetry_schemas.envelope import ENVELOPE_FIELDS, VERSION_FIELD
from flowise_telemetry_schemas.event_schema import EventSchema
from flowise_telemetry_schemas.events import CLASSES, EVENT_CLASSES
from flowise_telemetry_schemas.field import Field, all_fields
from flowise_telemetry_schemas.flow_graph import HAND_WRITTEN

__all__ = ["class_of", "types_of"]


@functools.cache
def class_of(schema: EventSchema) -> type[Any]:
    """Return the class of an event: the generated one of a shipped event, one like it of any other."""
    if not schema.is_own:
        return EVENT_CLASSES[schema.event]
    own = tuple(field for field in schema.fields if field.name not in ENVELOPE_FIELDS)
    return _record_class(schema.name, own, types_of(schema), EVENT=schema.event, TYPES=types_of(schema))


@functools.cache
def types_of(schema: EventSchema) -> dict[str, type[Any]]:
    """Return the classes of an event's nested records and enums by their Avro name."""
    if not schema.is_own:
        return CLASSES
    types: dict[str, type[Any]] = {}
    for field in reversed([*all_fields(schema.fields)]):  # what is inside comes first
        name = field.type_name
        if name is not None and name not in types:
            types[name] = HAND_WRITTEN.get(name) or _type_class(name, field, types)
    return types


def _type_class(name: str, field: Field, types: dict[str, type[Any]]) -> type[Any]:
    if field.kind == "record":
        return _record_class(name, field.fields, types)
    make: Any = StrEnum  # whose call with symbols makes a class (enum, "Functional API")
    made: type[Any] = make(name, {symbol: symbol for symbol in field.symbols})
    return made


def _record_class(name: str, fields: tuple[Field, ...], types: dict[str, type[Any]], **named: Any) -> type[Any]:
    def properties(self: Any) -> dict[str, Any]:
        """Return the fields in wire form."""
        return {field.name: _wire(getattr(self, field.column)) for field in fields}

    attributes: list[Any] = []
    for field in fields:
        if field.name == VERSION_FIELD and "EVENT" in named:
            attributes.append((field.column, Any, attribute(default=None)))
        elif field.has_default:
            default = types[str(field.type_name)](field.default) if field.kind == "enum" else field.default
            attributes.append((field.column, Any, attribute(default=default)))
        else:
            attributes.append((field.column, Any))
    methods = {"properties": properties, **named}
    return make_dataclass(name, attributes, namespace=methods, frozen=True, slots=True, kw_only=True)


def _wire(value: Any) -> Any:
    """Return a value in wire form; anything odd stays, for the constraints to reject."""
    if isinstance(value, tuple):
        return [_wire(item) for item in value]
    return value.properties() if hasattr(type(value), "properties") else value
