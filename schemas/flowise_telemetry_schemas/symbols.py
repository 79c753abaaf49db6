"""Enums that have a symbol for all that they do not list: an app that is newer than its producer costs no event."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from flowise_telemetry_schemas.event_schema import EventSchema
from flowise_telemetry_schemas.field import Field

__all__ = ["with_known_symbols"]

_Replace = Callable[[Any], Any]


def with_known_symbols(schema: EventSchema, record: Any) -> Any:
    """Return the record with the enum's default (``OTHER``) for each text that is none of its symbols.

    Only for what an app hands over: a record on a topic is checked as it is. Values of other types are kept, for the
    constraints to reject, and so is what is no record.
    """
    replace = _of_schema(schema)
    return record if replace is None else replace(record)


@functools.cache
def _of_schema(schema: EventSchema) -> _Replace | None:
    return _of_fields(schema.fields)


def _of(field: Field) -> _Replace | None:
    """Return the function that makes the replacements below a field; None where no enum is."""
    match field.kind:
        case "enum" if field.other_symbol is not None:
            other, symbols = field.other_symbol, frozenset(field.symbols)
            return lambda value: other if isinstance(value, str) and value not in symbols else value
        case "array" if field.items is not None and (item := _of(field.items)) is not None:
            replace = item
            return lambda value: [replace(each) for each in value] if isinstance(value, list) else value
        case "record":
            return _of_fields(field.fields)
    return None


def _of_fields(fields: tuple[Field, ...]) -> _Replace | None:
    below = {field.name: replace for field in fields if (replace := _of(field)) is not None}
    if not below:
        return None

    def replaced(value: Any) -> Any:
        if type(value) is not dict and not isinstance(value, Mapping):
            return value
        made = value
        for name, replace in below.items():
            if name in value and (known := replace(value[name])) is not value[name]:
                made = {**made, name: known}
        return made

    return replaced
