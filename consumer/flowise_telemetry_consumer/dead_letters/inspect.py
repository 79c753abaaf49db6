"""The bytes of a dead letter, decoded field by field up to the error."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from flowise_telemetry_consumer.decoding.framing import single_object
from flowise_telemetry_schemas import Catalog, EventSchema, Violation, violations
from flowise_telemetry_schemas.codec import split
from flowise_telemetry_schemas.errors import DecodeError
from flowise_telemetry_transport.errors import TransportError
from flowise_telemetry_transport.types import Headers

__all__ = ["DecodedField", "InspectedValue", "hexdump", "inspect"]

_HEXDUMP_WIDTH_BYTES = 16


@dataclass(frozen=True, slots=True)
class DecodedField:
    """One decoded field, with the range of its bytes in the record's value."""

    name: str
    start: int
    end: int
    value: Any


@dataclass(frozen=True, slots=True)
class InspectedValue:
    """A record's value, decoded as far as possible.

    ``schema`` is the writer schema, None if it is unknown. ``error`` says where and why decoding stopped, and
    ``fields`` are those before that place. ``broken_rules`` are the constraints broken by a record that decodes
    completely.
    """

    schema: EventSchema | None
    fields: tuple[DecodedField, ...]
    error: str | None
    broken_rules: tuple[Violation, ...] = ()


def inspect(value: bytes | None, catalog: Catalog, headers: Headers = ()) -> InspectedValue:
    """Decode field by field, stopping at the first that cannot be decoded. Raises nothing."""
    try:
        schema, body = split(single_object(value, headers, catalog), catalog)
    except (DecodeError, TransportError) as cause:
        return InspectedValue(None, (), cause.message)
    frame_bytes = len(value or b"") - len(body)
    fields: list[DecodedField] = []
    source = io.BytesIO(body)
    error = None
    for field, wire in zip(schema.fields, schema.wire["fields"], strict=True):
        start = source.tell()
        try:
            found = _read(source, schema, wire["type"])
        except Exception as cause:  # fastavro has no common class for malformed bytes
            error = f"{field.name} at byte {frame_bytes + start} is not a valid {field.kind} ({type(cause).__name__})"
            break
        fields.append(DecodedField(field.name, frame_bytes + start, frame_bytes + source.tell(), found))
    rest = len(body) - source.tell()
    if error is None and rest:
        error = f"{rest} bytes follow the record"
    broken: tuple[Violation, ...] = ()
    if error is None:
        broken = tuple(violations(schema, {field.name: field.value for field in fields}))
    return InspectedValue(schema, tuple(fields), error, broken)


def _read(source: io.BytesIO, schema: EventSchema, wire_type: object) -> Any:
    import fastavro

    # A record of one field that keeps the rest of the parsed schema: the field may refer to a type by name.
    one_field = {**schema.wire, "fields": [{"name": "it", "type": wire_type}]}
    record: Any = fastavro.schemaless_reader(source, one_field, None)
    return record["it"]


def hexdump(data: bytes) -> str:
    """Format bytes as lines of offset, hexadecimal and printable ASCII."""
    lines = []
    for start in range(0, len(data), _HEXDUMP_WIDTH_BYTES):
        row = data[start : start + _HEXDUMP_WIDTH_BYTES]
        characters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{start:08x}  {row.hex(' '):<{3 * _HEXDUMP_WIDTH_BYTES - 1}}  {characters}")
    return "\n".join(lines)
