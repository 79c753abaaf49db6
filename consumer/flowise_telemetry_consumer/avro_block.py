"""Many records of one schema to columns in one call: polars reads a block of an Avro object-container file.

The bodies of the messages are that block's content as they are, and the file's header is made up around them (Avro
specification 1.12, "Object Container Files"). So that a bad body cannot borrow bytes from its neighbour, a guard of
16 random bytes, which no one who wrote a body can know, follows each and is read as one more field.
"""

from __future__ import annotations

import functools
import io
import itertools
import json
import os
from collections.abc import Iterator, Sequence

import polars as pl
from polars.exceptions import PanicException

from flowise_telemetry_schemas import EventSchema, Field

__all__ = ["columns_of", "is_readable"]

_MAGIC = b"Obj\x01"
_GUARD_BYTES = 16
_GUARD = "__guard"


def is_readable(schema: EventSchema) -> bool:
    """Whether polars 2.1 takes the schema: an enum may be a field of the event, not null and not inside anything."""
    return all((field.kind == "enum" and not field.nullable) or _has_no_enum(field) for field in schema.fields)


def _has_no_enum(field: Field) -> bool:
    below = field.fields if field.items is None else (field.items,)
    return field.kind != "enum" and all(map(_has_no_enum, below))


def columns_of(schema: EventSchema, bodies: Sequence[bytes]) -> pl.DataFrame | None:
    """One row for each body, or None where any of them is not exactly one record of ``schema``.

    Columns are those of ``polars_schema``, but for timestamps, which are numbers, and enums, which are categories.
    """
    guard = os.urandom(_GUARD_BYTES)
    content = b"".join(itertools.chain.from_iterable(zip(bodies, itertools.repeat(guard))))
    file = b"".join((_header(schema), guard, _long(len(bodies)), _long(len(content)), content, guard))
    try:
        frame = pl.read_avro(io.BytesIO(file))
    except (Exception, PanicException):
        # Of broken bytes polars raises many errors, and where it panics, one that is no Exception.
        return None
    whole = pl.len() == len(bodies)
    unharmed = (pl.col(_GUARD) == pl.lit(guard, pl.Binary)).all()
    return frame.drop(_GUARD) if frame.select(whole & unharmed).item() else None


@functools.cache
def _header(schema: EventSchema) -> bytes:
    """The file's header without its sync marker."""
    numbers = itertools.count()
    guard = {"name": _GUARD, "type": {"type": "fixed", "name": "guard", "size": _GUARD_BYTES}}
    record = _record(schema.fields, numbers, guard)
    metadata = {"avro.codec": b"null", "avro.schema": json.dumps(record).encode()}
    entries = b"".join(_bytes(key.encode()) + _bytes(value) for key, value in metadata.items())
    return _MAGIC + _long(len(metadata)) + entries + _long(0)


def _record(fields: Sequence[Field], numbers: Iterator[int], *more: object) -> dict[str, object]:
    """The schema as plain as polars wants it: no defaults, each type spelt out under a name of its own."""
    return {
        "type": "record",
        "name": f"t{next(numbers)}",
        "fields": [*({"name": field.column, "type": _type(field, numbers)} for field in fields), *more],
    }


def _type(field: Field, numbers: Iterator[int]) -> object:
    plain: object
    match field.kind:
        case "record":
            plain = _record(field.fields, numbers)
        case "array" if field.items is not None:
            plain = {"type": "array", "items": _type(field.items, numbers)}
        case "enum":
            plain = {"type": "enum", "name": f"t{next(numbers)}", "symbols": list(field.symbols)}
        case "uuid":
            plain = "string"
        case "timestamp":
            plain = "long"
        case _:
            plain = field.kind
    return ["null", plain] if field.nullable else plain


def _bytes(value: bytes) -> bytes:
    return _long(len(value)) + value


def _long(value: int) -> bytes:
    """A count or a length in Avro's variable-length zig-zag coding; they are never negative."""
    rest, out = value << 1, bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)
