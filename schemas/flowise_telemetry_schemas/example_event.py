"""An invented event for a schema, to be shown before anything is sent."""

from __future__ import annotations

from typing import Any

from flowise_telemetry_schemas.consistency import parsed_pattern
from flowise_telemetry_schemas.envelope import ENVELOPE_FIELDS, VERSION_FIELD
from flowise_telemetry_schemas.event_schema import EventSchema
from flowise_telemetry_schemas.field import Field
from flowise_telemetry_schemas.own_classes import class_of, types_of
from flowise_telemetry_schemas.pattern import Pattern, text_beyond

__all__ = ["example_of"]

_ID = "0b7ac60e-51a4-4bb5-a6a5-f1ae0fd1cf8f"
_TEXTS = {
    "databaseId": _ID,
    "givenId": _ID,
    "functionName": "get_weather",
    "nodeId": "chatOpenAI_0",
}
_UNLIKELY = "A" * 60  # and what a pattern takes that takes nothing shorter


def example_of(schema: EventSchema) -> Any:
    """Return an event of the schema, without a version: each field has the simplest value that fits."""
    own = (field for field in schema.fields if field.name not in (*ENVELOPE_FIELDS, VERSION_FIELD))
    return class_of(schema)(**{field.column: _value(field, types_of(schema)) for field in own})


def _value(field: Field, types: dict[str, type[Any]]) -> Any:
    match field.kind:
        case "string" | "uuid":
            return _text(field)
        case "enum":
            return types[str(field.type_name)](field.symbols[0])
        case "boolean":
            return True
        case "array" if field.items is not None:
            return (_value(field.items, types),)
        case "record":
            return types[str(field.type_name)](**{each.column: _value(each, types) for each in field.fields})
        case _:
            return min(max(1, field.minimum or 0), field.maximum if field.maximum is not None else 1)


def _text(field: Field) -> str:
    pattern, most = parsed_pattern(field.pattern or ""), field.max_length or 0
    known = _TEXTS.get(field.holds or "")
    if known is not None and pattern.takes(known) and len(known) <= most:
        return known
    return text_beyond(pattern, Pattern(f"^{_UNLIKELY}$"), most) or _UNLIKELY
