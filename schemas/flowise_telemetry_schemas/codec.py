"""Encode records and decode messages, in Avro's single-object encoding.

A message is ``C3 01``, the CRC-64-AVRO fingerprint of the writer's schema (8 bytes, little-endian), and the body in
Avro binary (Avro specification 1.12, "Single object encoding").
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from flowise_telemetry_schemas.catalog import Catalog
from flowise_telemetry_schemas.constraints import validate
from flowise_telemetry_schemas.errors import DecodeError
from flowise_telemetry_schemas.event_schema import EventSchema
from flowise_telemetry_schemas.strict_body import check_body

__all__ = ["HEADER_BYTES", "MARKER", "MAX_VALUE_BYTES", "decode", "decode_body", "encode", "is_canonical", "split"]

MARKER = b"\xc3\x01"
HEADER_BYTES = 10
MAX_VALUE_BYTES = 1_048_576
"""The size limit of a topic by default. A larger value is refused before it is parsed."""


def encode(schema: EventSchema, record: Mapping[str, Any]) -> bytes:
    """Return the message for a record in wire form.

    The constraints are checked here. Raises ``ValidationError`` for a record that breaks its schema.
    """
    import fastavro

    validate(schema, record)
    out = io.BytesIO()
    out.write(MARKER + schema.fingerprint)
    fastavro.schemaless_writer(out, schema.wire, record)
    return out.getvalue()


def split(value: bytes | None, catalog: Catalog) -> tuple[EventSchema, bytes]:
    """Return the writer's schema and the body of a message.

    Raises ``DecodeError`` with the reason ``tombstone``, ``empty``, ``too_large``, ``unknown_framing``, ``truncated``
    or ``unknown_fingerprint``.
    """
    if value is None:
        raise DecodeError("the record has no value", reason="tombstone")
    if not value:
        raise DecodeError("the value is empty", reason="empty")
    if len(value) > MAX_VALUE_BYTES:
        raise DecodeError(f"the value has {len(value)} bytes, over {MAX_VALUE_BYTES}", reason="too_large")
    if not value.startswith(MARKER):
        raise DecodeError("the value does not start with C3 01", reason="unknown_framing")
    if len(value) < HEADER_BYTES:
        raise DecodeError("the value ends within its header", reason="truncated")
    fingerprint = value[2:HEADER_BYTES]
    schema = catalog.by_fingerprint(fingerprint)
    if schema is None:
        shown = fingerprint[::-1].hex()
        raise DecodeError(f"no schema has the fingerprint {shown}", reason="unknown_fingerprint", schema=shown)
    return schema, value[HEADER_BYTES:]


def decode_body(schema: EventSchema, body: bytes, reader: EventSchema) -> dict[str, Any]:
    """Decode a body written with ``schema`` into a record with the fields of ``reader``.

    Raises ``DecodeError`` with the reason ``truncated``, ``trailing_bytes`` or ``malformed``. Constraints are not
    checked.
    """
    import fastavro

    source = io.BytesIO(body)
    try:
        # fastavro's stub allows a value of any type; ours are records.
        record: Any = fastavro.schemaless_reader(source, schema.wire, None if reader is schema else reader.wire)
    except Exception as error:
        # If the bytes end too early, fastavro raises EOFError, or IndexError inside a number.
        if isinstance(error, EOFError | IndexError) and source.tell() == len(body):
            raise _bad_body(schema, "ends before the record does", "truncated") from error
        # fastavro raises many errors for bad bytes: IndexError, UnicodeDecodeError, OverflowError, ValueError and more.
        raise _bad_body(schema, f"is not a record of its schema ({type(error).__name__})", "malformed") from error
    rest = len(body) - source.tell()
    if rest:
        raise _bad_body(schema, f"has {rest} bytes after the record", "trailing_bytes")
    if reader is not schema or not _is_written_as(schema, record, body):
        try:
            check_body(schema, body)
        except (ValueError, IndexError) as error:
            raise _bad_body(schema, f"is not a record of its schema ({error})", "malformed") from error
    return dict(record)


def is_canonical(schema: EventSchema, body: bytes) -> bool:
    """Return True if ``body`` is byte for byte what we would have written. A record may have other legal encodings."""
    import fastavro

    try:
        # fastavro's stub allows a value of any type; ours are records.
        record: Any = fastavro.schemaless_reader(io.BytesIO(body), schema.wire, None)
    except Exception:  # as in decode_body
        return False
    return _is_written_as(schema, record, body)


def _is_written_as(schema: EventSchema, record: Mapping[str, Any], body: bytes) -> bool:
    import fastavro

    out = io.BytesIO()
    try:
        fastavro.schemaless_writer(out, schema.wire, record)
    except Exception:  # fastavro also raises many errors for a value that does not fit
        return False
    return out.getvalue() == body


def decode(value: bytes | None, catalog: Catalog) -> tuple[EventSchema, dict[str, Any]]:
    """Return the writer's schema and the record of a message, with the fields of the newest version of its event.

    Raises ``DecodeError`` with any reason of ``split`` and ``decode_body``. Does not check constraints.
    """
    schema, body = split(value, catalog)
    return schema, decode_body(schema, body, catalog.latest(schema.event))


def _bad_body(schema: EventSchema, what: str, reason: str) -> DecodeError:
    where = f"{schema.event}.v{schema.version}"
    return DecodeError(f"the body of a {where} {what}", reason=reason, event=schema.event, schema=where)
