"""A self-test of the Avro reader, run once per process: only an exact reader is used to decode blocks.

polars marks ``read_avro`` as unstable, so any release may change what it returns.
"""

from __future__ import annotations

import functools
import io
import logging
from collections.abc import Mapping
from typing import Any

import polars as pl

from flowise_telemetry_consumer.decoding.avro_block import ReadAvro, read_block
from flowise_telemetry_consumer.decoding.frames import frame_of, resolved_columns, typed_columns
from flowise_telemetry_schemas import EventSchema

__all__ = ["reader_fault", "reader_is_exact"]

logger = logging.getLogger("flowise_telemetry.consumer")

_ROWS = 24
_TEXT = {"type": "string", "pattern": "^.{0,20}$", "maxLength": 20}


def _fields(**types: object) -> list[dict[str, object]]:
    about = {"doc": "d", "purpose": "p", "classification": "name"}
    return [{"name": name, "type": of, **about} for name, of in types.items()]


def _schema(version: int, **last: object) -> EventSchema:
    """Return an event with every type that a block may hold, and ``last`` at its end."""
    part = {"type": "record", "name": "Part", "doc": "d", "fields": _fields(partName=_TEXT, partSize="int")}
    fields = _fields(
        flag="boolean",
        kind={"type": "enum", "name": "Kind", "doc": "d", "symbols": ["A", "B", "C"]},
        label=_TEXT,
        small="int",
        large="long",
        moment={"type": "long", "logicalType": "timestamp-millis"},
        parts={"type": "array", "maxItems": 5, "items": part},
        lists={"type": "array", "maxItems": 5, "items": {"type": "array", "maxItems": 5, "items": _TEXT}},
        **last,
    )
    source = {"type": "record", "namespace": "flowise.telemetry", "name": "SelfTest", "doc": "d", "fields": fields}
    return EventSchema.read("self_test", version, source)


_BLOCK_TYPES: Mapping[str, pl.DataType] = {
    "flag": pl.Binary(),
    "kind": pl.Int64(),
    "label": pl.String(),
    "small": pl.Int64(),
    "large": pl.Int64(),
    "moment": pl.Int64(),
    "parts": pl.List(pl.Struct({"part_name": pl.String(), "part_size": pl.Int64()})),
    "lists": pl.List(pl.List(pl.String())),
    "maybe": pl.Int64(),
    "remark": pl.String(),
}


def _record(number: int, *, nullable: bool) -> Mapping[str, Any]:
    return {
        "flag": number % 2 == 1,
        "kind": "ABC"[number % 3],
        "label": ("é", "ab", "", "a b c d e f")[number % 4],
        "small": (-(2**31), 2**31 - 1, number)[number % 3],
        "large": (-(2**63), 2**63 - 1, number)[number % 3],
        "moment": 1_700_000_000_000 + number,
        "parts": [{"partName": "x" * at, "partSize": at} for at in range(number % 4)],
        "lists": [["y"] * at for at in range(number % 3)],
        "maybe": (None, number)[number % 2],
        "remark": (None if nullable else "", "z", "")[number % 3],
    }


# The second record's beginning (true, B, "ab") and end ("z"), and what replaces them. None of it makes polars read past
# the end, or take a number for a length: that panics, and prints to stderr.
_START, _END = b"\x01\x02\x04ab", b"\x02z"
_GARBAGE: Mapping[str, tuple[bytes, bytes]] = {
    "a boolean of 7": (b"\x07\x02\x04ab", _END),
    "an enum past its symbols": (b"\x01\x06\x04ab", _END),
    "an enum before its symbols": (b"\x01\x01\x04ab", _END),
    "a text that is not UTF-8": (b"\x01\x02\x04\xff\xfe", _END),
    "a text that is shorter than its bytes": (_START, b"\x00z"),
    "a trailing byte": (_START, _END + b"\x00"),
    "trailing bytes as long as a guard": (_START, _END + bytes(16)),
}


def reader_is_exact(read_avro: ReadAvro) -> bool:
    """Return whether blocks may be decoded with the reader; warn once per process if not."""
    return _warned_fault(read_avro) is None


@functools.cache
def _warned_fault(read_avro: ReadAvro) -> str | None:
    fault = reader_fault(read_avro)
    if fault is not None:
        logger.warning(
            "polars %s does not read Avro as this release expects (%s): every record is decoded by itself, which gives"
            " the same rows and takes about ten times the CPU; install a release of polars that passes, such as 2.1",
            pl.__version__,
            fault,
        )
    return fault


def reader_fault(read_avro: ReadAvro) -> str | None:
    """Return the first difference between the reader and what decoding in blocks relies on, or None.

    Good records must give the rows and types that decoding one by one gives. A block with one bad body in it must be
    refused, by the reader or because the guards are misplaced.
    """
    plain = _schema(1, remark=_TEXT)
    one_union, unions = _schema(2, remark=["null", _TEXT]), _schema(3, maybe=["null", "long"], remark=["null", _TEXT])
    try:
        for schema in (plain, one_union, unions):
            records = [_record(number, nullable=schema is not plain) for number in range(_ROWS)]
            columns = read_block(schema, [_body(schema, record) for record in records], read_avro)
            if columns is None:
                return "it refuses good records"
            if any(dtype != _BLOCK_TYPES[name] for name, dtype in columns.schema.items()):
                return "it reads other types"
            resolved = resolved_columns(schema, schema) or ()
            if not columns.select(resolved).select(typed_columns(schema)).equals(frame_of(schema, records)):
                return "it reads other values"
        bodies = [_body(plain, _record(number, nullable=False)) for number in range(_ROWS)]
        for kind, (start, end) in _GARBAGE.items():
            bad = start + bodies[1].removeprefix(_START).removesuffix(_END) + end
            if read_block(plain, [*bodies, bad], read_avro) is not None:
                return f"it accepts {kind}"
    except Exception as error:  # of any class: the columns are not what they must be
        return f"its columns cannot be used: {type(error).__name__}"
    return None


def _body(schema: EventSchema, record: Mapping[str, Any]) -> bytes:
    import fastavro

    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema.wire, record)
    return out.getvalue()
