"""Whether a body is what the Avro specification allows, where fastavro and polars forgive.

fastavro takes a negative index of an enum or a union for one from the end and any byte but 0 for true; polars takes any
index but 0 for a union's second branch. Each makes something else of such a body, and nobody who means well writes one.
An int of more than 32 bits is left to the constraints, which name its field.
"""

from __future__ import annotations

from flowise_telemetry_schemas.catalog import EventSchema
from flowise_telemetry_schemas.field import Field
from flowise_telemetry_schemas.varint import decode_long

__all__ = ["check_body"]


def check_body(schema: EventSchema, body: bytes) -> None:
    """Raises ``ValueError``, saying what is wrong, or ``IndexError`` at the end, for what is no record of ``schema``.

    A number may have more bytes than it needs, up to ten, and an array may come in several blocks, with or without
    their sizes in front.
    """
    if _record_end(schema.fields, body, 0) != len(body):
        raise ValueError("bytes are left over")


def _record_end(fields: tuple[Field, ...], body: bytes, at: int) -> int:
    for field in fields:
        at = _end(field, body, at)
    return at


def _end(field: Field, body: bytes, at: int) -> int:
    """Where the value that starts at ``at`` ends."""
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
            _, at = decode_long(body, at)  # the block's size, for those who want to step over it
            count = -count
        for _ in range(count):
            at = _end(items, body, at)
