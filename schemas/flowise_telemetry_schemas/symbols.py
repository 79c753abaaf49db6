"""Enums that have a symbol for all that they do not list: an app that is newer than its producer costs no event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowise_telemetry_schemas.catalog import EventSchema
from flowise_telemetry_schemas.field import Field

__all__ = ["with_known_symbols"]


def with_known_symbols(schema: EventSchema, record: Any) -> Any:
    """Return the record with the enum's default (``OTHER``) for each text that is none of its symbols.

    Only for what an app hands over: a record on a topic is checked as it is. Values of other types are kept, for the
    constraints to reject, and so is what is no record.
    """
    return _known(Field(name=schema.name, kind="record", fields=schema.fields), record)


def _known(field: Field, value: Any) -> Any:
    match field.kind:
        case "enum" if isinstance(value, str) and value not in field.symbols and field.other_symbol is not None:
            return field.other_symbol
        case "array" if isinstance(value, list) and field.items is not None:
            return [_known(field.items, item) for item in value]
        case "record" if isinstance(value, Mapping):
            own = {inner.name: inner for inner in field.fields}
            return {name: _known(own[name], inner) if name in own else inner for name, inner in value.items()}
        case _:
            return value
