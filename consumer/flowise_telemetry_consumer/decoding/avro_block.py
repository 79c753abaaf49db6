"""Decode records of one schema to columns in one call: polars reads them as a block of an Avro object container file.

The messages are the block's content, unchanged; the rest of the file is made up around them (Avro 1.12, "Object
Container Files"). Each is followed by a guard of 16 random bytes, so that a bad body cannot borrow bytes from its
neighbour: no writer can know the guard. The guard and the header of the next message, which are the same all over a
block, are read together as one more field, so that no body has to be cut out of its message.
"""

from __future__ import annotations

import functools
import io
import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import polars as pl
from polars.exceptions import PanicException

from flowise_telemetry_consumer.process import muted_native_code
from flowise_telemetry_schemas import EventSchema, Field
from flowise_telemetry_schemas.codec import is_canonical
from flowise_telemetry_schemas.varint import encode_long

__all__ = ["ReadAvro", "decoded_value", "is_readable", "read_block"]

ReadAvro = Callable[[IO[bytes]], pl.DataFrame]
"""``polars.read_avro``, or another reader of Avro object container files."""

_MAGIC = b"Obj\x01"
_GUARD_BYTES = 16
_GUARD = "__guard"
_FALSE, _TRUE = b"\x00", b"\x01"
_TEXTS = frozenset({"string", "uuid"})
_NULL, _TEXT = b"\x00", b"\x02"  # the indexes 0 and 1 of a union on the wire
_CONTINUED = b"\x80"  # this byte of a number, and any greater one, is followed by more
# polars accepts invalid values of these types, so they are read as indexes and bytes, and decoded here.
_CODED = frozenset({"enum", "boolean"})


def is_readable(schema: EventSchema) -> bool:
    """Return whether ``read_block`` takes the schema: it has no enum or boolean inside another field."""
    return not any(_any_field(inner, _is_coded) for field in schema.fields for inner in _below(field))


def read_block(
    schema: EventSchema, messages: Sequence[bytes], read_avro: ReadAvro, *, header: bytes = b""
) -> pl.DataFrame | None:
    """Return one row for each message, or None if any of them is not exactly one record of ``schema``.

    A message is its body after ``header``, with which all of them must begin. The columns are as on the wire:
    timestamps, ints and the indexes of enums as ``Int64``, so that no value is truncated, and booleans as a byte;
    ``decoded_value`` decodes them.
    """
    union_at_end = _only_the_last_is_nullable(schema)
    start = len(header)
    if not union_at_end and _has_unions(schema) and not all(is_canonical(schema, it[start:]) for it in messages):
        return None
    guard = os.urandom(_GUARD_BYTES)
    between = guard + header
    size = sum(map(len, messages)) + len(messages) * _GUARD_BYTES
    begin = (_file_header(schema, len(between)), guard, encode_long(len(messages)), encode_long(size))
    # In one piece: a copy costs as much as the pages that it touches. The last message is followed by a header, too.
    file = guard.join([b"".join((*begin, messages[0][start:])), *messages[1:], header + guard])
    try:
        with muted_native_code():
            frame = read_avro(io.BytesIO(file))
    except (Exception, PanicException):
        # polars raises many kinds of errors for broken bytes; a panic is not an Exception.
        return None
    if frame.height != len(messages) or not (frame.drop_in_place(_GUARD) == pl.Series([between])).all():
        return None
    if not all(_is_within_range(frame.get_column(field.column), field) for field in _coded(schema)):
        return None
    if union_at_end and not _end_as_written(messages, frame.get_column(schema.fields[-1].column)):
        return None
    return frame


def decoded_value(field: Field) -> pl.Expr:
    """Return the value of a block's column in the type of ``polars_schema``, except for timestamps and ints."""
    column = pl.col(field.column)
    match field.kind:
        case "enum":
            return pl.lit(pl.Series(field.symbols, dtype=pl.String)).gather(column).alias(field.column)
        case "boolean":
            return column == _TRUE
        case _:
            return column


@functools.cache
def _has_unions(schema: EventSchema) -> bool:
    """Return whether anything may be null: polars takes any index but 0 for the other branch, so check the bytes."""
    return any(_any_field(field, lambda inner: inner.nullable) for field in schema.fields)


@functools.cache
def _only_the_last_is_nullable(schema: EventSchema) -> bool:
    """Return whether only a text at the end may be null: its bytes are found from the body's end."""
    *others, last = schema.fields
    return (
        last.nullable
        and last.kind in _TEXTS
        and not any(_any_field(field, lambda inner: inner.nullable) for field in others)
    )


def _end_as_written(messages: Sequence[bytes], texts: pl.Series) -> bool:
    """Return whether the index of each union at the end is its text's (or null's), in a single byte."""
    ends = {text: _NULL if text is None else _TEXT + _bytes(text.encode()) for text in texts.unique()}
    for message, text in zip(messages, texts, strict=True):
        end = ends[text]
        # A byte of 0x80 or more in front may be the first byte of a longer, hence other, index.
        if not message.endswith(end) or message[-len(end) - 1 : -len(end)] >= _CONTINUED:
            return False
    return True


def _any_field(field: Field, is_it: Callable[[Field], bool]) -> bool:
    return is_it(field) or any(_any_field(inner, is_it) for inner in _below(field))


def _below(field: Field) -> Sequence[Field]:
    return field.fields if field.items is None else (field.items,)


def _is_coded(field: Field) -> bool:
    return field.kind in _CODED


@functools.cache
def _coded(schema: EventSchema) -> Sequence[Field]:
    return tuple(filter(_is_coded, schema.fields))


def _is_within_range(column: pl.Series, field: Field) -> bool:
    """Return whether every index is a symbol's and every byte a boolean; nulls are left out."""
    low, high = (0, len(field.symbols) - 1) if field.kind == "enum" else (_FALSE, _TRUE)
    least: Any = column.min()
    most: Any = column.max()
    return least is None or bool(low <= least and most <= high)


@functools.cache
def _file_header(schema: EventSchema, guard_bytes: int) -> bytes:
    """Return the file's header without its sync marker."""
    numbers = itertools.count()
    field = {"name": _GUARD, "type": {"type": "fixed", "name": "guard", "size": guard_bytes}}
    record = _record(schema.fields, numbers, field)
    metadata = {"avro.codec": b"null", "avro.schema": json.dumps(record).encode()}
    entries = b"".join(_bytes(key.encode()) + _bytes(value) for key, value in metadata.items())
    return _MAGIC + encode_long(len(metadata)) + entries + encode_long(0)


def _record(fields: Sequence[Field], numbers: Iterator[int], *more: object) -> dict[str, object]:
    """Return the schema as simple as polars needs it: no defaults, each named type inlined under a unique name."""
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
        case "boolean":
            plain = {"type": "fixed", "name": f"t{next(numbers)}", "size": 1}
        case _ if field.kind in _TEXTS:
            plain = "string"
        case _:
            plain = "long"
    return ["null", plain] if field.nullable else plain


def _bytes(value: bytes) -> bytes:
    return encode_long(len(value)) + value
