"""What a dead letter's bytes are, field by field as far as they go. Values only for who asks for them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from flowise_telemetry_schemas import Catalog, EventSchema, Violation, violations
from flowise_telemetry_schemas.codec import HEADER_BYTES, split
from flowise_telemetry_schemas.errors import DecodeError

__all__ = ["DecodedField", "InspectedValue", "hexdump", "inspect"]

_HEXDUMP_WIDTH_BYTES = 16


@dataclass(frozen=True, slots=True)
class DecodedField:
    """One field that could be read: where its bytes are in the value, and what they say."""

    name: str
    start: int
    end: int
    value: Any


@dataclass(frozen=True, slots=True)
class InspectedValue:
    """A value taken apart. ``schema`` is its writer's, None where no schema is found: then ``trouble`` says why.

    ``fields`` are those before the trouble. ``broken_rules`` are the bounds that a record breaks which could be read to
    its end.
    """

    schema: EventSchema | None
    fields: tuple[DecodedField, ...]
    trouble: str | None
    broken_rules: tuple[Violation, ...] = ()


def inspect(value: bytes | None, catalog: Catalog) -> InspectedValue:
    """Decodes the fields of a message one after the other, up to the first that is none. Raises nothing."""
    try:
        schema, body = split(value, catalog)
    except DecodeError as error:
        return InspectedValue(None, (), error.message)
    fields: list[DecodedField] = []
    source = io.BytesIO(body)
    trouble = None
    for field, wire in zip(schema.fields, schema.wire["fields"], strict=True):
        start = source.tell()
        try:
            found = _read(source, schema, wire["type"])
        except Exception as error:  # fastavro has no one error for bad bytes
            trouble = f"{field.name} at byte {HEADER_BYTES + start} is no {field.kind} ({type(error).__name__})"
            break
        fields.append(DecodedField(field.name, HEADER_BYTES + start, HEADER_BYTES + source.tell(), found))
    rest = len(body) - source.tell()
    if trouble is None and rest:
        trouble = f"{rest} bytes follow the record"
    broken: tuple[Violation, ...] = ()
    if trouble is None:
        broken = tuple(violations(schema, {field.name: field.value for field in fields}))
    return InspectedValue(schema, tuple(fields), trouble, broken)


def _read(source: io.BytesIO, schema: EventSchema, wire_type: object) -> Any:
    import fastavro

    # The rest of the parsed schema stays: the types that this field names may have been spelt out in an earlier one.
    alone = {**schema.wire, "fields": [{"name": "it", "type": wire_type}]}
    record: Any = fastavro.schemaless_reader(source, alone, None)
    return record["it"]


def hexdump(data: bytes) -> str:
    """Bytes as lines of offset, hexadecimal and, where they are ASCII, characters."""
    lines = []
    for start in range(0, len(data), _HEXDUMP_WIDTH_BYTES):
        row = data[start : start + _HEXDUMP_WIDTH_BYTES]
        characters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{start:08x}  {row.hex(' '):<{3 * _HEXDUMP_WIDTH_BYTES - 1}}  {characters}")
    return "\n".join(lines)
