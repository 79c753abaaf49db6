"""A check that a body follows the Avro specification where fastavro and polars are lenient.

fastavro counts a negative index of an enum or a union from the end and takes any byte but 0 for true; polars takes any
index but 0 for a union's second branch. They decode such a body differently, and no correct writer makes one. An int of
more than 32 bits is left to the constraints, which name its field.
"""

from __future__ import annotations

from flowise_telemetry_schemas.event_schema import EventSchema
from flowise_telemetry_schemas.field import Field
from flowise_telemetry_schemas.varint import decode_long

__all__ = ["check_body"]


def check_body(schema: EventSchema, body: bytes) -> None:
    """Raise ``ValueError``, or ``IndexError`` if the bytes end too early, unless ``body`` is one record of ``schema``.

    Also legal, though never written by us: a number with more bytes than it needs, up to ten, and an array in several
    blocks, with or without their sizes (Avro 1.12, "Binary Encoding").
    """
    if _record_end(schema.fields, body, 0) != len(body):
        raise ValueError("bytes are left over")


def _record_end(fields: tuple[Field, ...], body: bytes, at: int) -> int:
    for field in fields:
        at = _end(field, body, at)
    return at


def _end(field: Field, body: bytes, at: int) -> int:
    """Return the position after the value that starts at ``at``."""
    if field.nullable:
        branch, at = decode_long(body, at)
        if branch == 0:
            return at
        if branch != 1:
            raise ValueError("a union has no such branch")
    match field.kind:
        case "record":
            return _record_end(field.fields, body, at)
        case "array" if field.items is not None:
            return _array_end(field.items, body, at)
        case "boolean":
            if body[at] > 1:
                raise ValueError("a boolean is neither 0 nor 1")
            return at + 1
    number, at = decode_long(body, at)
    match field.kind:
        case "string" | "uuid":
            if not 0 <= number <= len(body) - at:
                raise ValueError("a string has no such length")
            return at + number
        case "enum":
            if not 0 <= number < len(field.symbols):
                raise ValueError("an enum has no such symbol")
    return at


def _array_end(items: Field, body: bytes, at: int) -> int:
    while True:
        count, at = decode_long(body, at)
        if count == 0:
            return at
        if count < 0:
            _, at = decode_long(body, at)  # the block's size in bytes, for a reader that skips it
            count = -count
        for _ in range(count):
            at = _end(items, body, at)
