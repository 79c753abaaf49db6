"""The Confluent wire format: the schema's id in a registry before the body, or its GUID in a header of the record.

https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from flowise_telemetry_schemas.errors import DecodeError

__all__ = ["ID_HEADER", "MAGIC", "PREFIX_BYTES", "SchemaId", "id_and_body", "with_id"]

ID_HEADER = "__value_schema_id"
"""The record header that names the value's schema; the value then is the body alone."""

MAGIC = b"\x00"
PREFIX_BYTES = 5
_GUID_MAGIC = b"\x01"
_GUID_BYTES = 16

SchemaId = int | uuid.UUID
"""A schema's number in one registry, or its GUID, which is the same in all of them."""


def id_and_body(
    value: bytes | None, headers: Iterable[tuple[str, bytes | None]]
) -> tuple[SchemaId, bytes | None] | None:
    """Return a value's schema id and body, the header's id before the value's own; None for any other framing.

    Raises ``DecodeError`` (``unknown_framing``) for a header that names no schema, and (``truncated``) for a value that
    ends within its id.
    """
    for name, content in headers:
        if name == ID_HEADER:
            return _id_of(content or b""), value
    if value is None or not value.startswith(MAGIC):
        return None
    if len(value) < PREFIX_BYTES:
        raise DecodeError("the value ends within the id of its schema", reason="truncated")
    return int.from_bytes(value[1:PREFIX_BYTES], "big"), value[PREFIX_BYTES:]


def _id_of(content: bytes) -> SchemaId:
    if content.startswith(_GUID_MAGIC) and len(content) == 1 + _GUID_BYTES:
        return uuid.UUID(bytes=content[1:])
    if content.startswith(MAGIC) and len(content) == PREFIX_BYTES:
        return int.from_bytes(content[1:], "big")
    raise DecodeError(
        f"the header {ID_HEADER} has {len(content)} bytes that are neither a GUID nor an id", reason="unknown_framing"
    )


def with_id(schema_id: int, body: bytes) -> bytes:
    """Return the value of a body with its schema's id in front."""
    return MAGIC + schema_id.to_bytes(PREFIX_BYTES - 1, "big") + body
