"""Framings of a value: everything behind this file sees Avro's single-object encoding alone."""

from __future__ import annotations

from flowise_telemetry_schemas import Catalog, EventSchema
from flowise_telemetry_schemas.codec import HEADER_BYTES, MARKER, MAX_VALUE_BYTES
from flowise_telemetry_schemas.errors import DecodeError
from flowise_telemetry_schemas.wire_format import ID_HEADER, MAGIC, id_and_body
from flowise_telemetry_transport.types import Headers, Record

__all__ = ["schema_of", "single_object"]


def single_object(value: bytes | None, headers: Headers, catalog: Catalog) -> bytes | None:
    """Return a record's value in single-object encoding, whichever way it names its schema.

    A header that names it is looked at first. Raises ``DecodeError`` if the schema cannot be found, and the registry's
    retryable errors. A value in any other framing is returned as it is.
    """
    if not (headers or (value or b"").startswith(MAGIC)) or len(value or b"") > MAX_VALUE_BYTES:
        return value
    if catalog.registered is None:
        return _without_registry(value, headers)
    found = id_and_body(value, headers)
    if found is None or not found[1]:
        return value if found is None else found[1]
    schema_id, body = found
    return MARKER + catalog.registered.get(schema_id).fingerprint + (body or b"")


def _without_registry(value: bytes | None, headers: Headers) -> bytes | None:
    named = any(name == ID_HEADER for name, _ in headers)
    if value and not value.startswith(MARKER) and (named or value.startswith(MAGIC)):
        where = f"the header {ID_HEADER}" if named else "the value"
        raise DecodeError(
            f"{where} names its schema by an id in a registry, and none is set (FLOWISE_TELEMETRY_SCHEMA_REGISTRY_URL)",
            reason="unknown_framing",
        )
    return value


def schema_of(record: Record, catalog: Catalog) -> EventSchema | None:
    """Return the writer's schema of a record, None where it is unknown. Raises the registry's retryable errors."""
    try:
        head = (single_object(record.value, record.headers, catalog) or b"")[:HEADER_BYTES]
    except DecodeError:
        return None
    return catalog.by_fingerprint(head.removeprefix(MARKER)) if head.startswith(MARKER) else None
