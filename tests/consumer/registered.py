"""A registry in memory, and values as those write them who name schemas by it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

from flowise_telemetry_schemas import Catalog, EventSchema, SchemaError, TelemetryError, catalog
from flowise_telemetry_schemas.codec import HEADER_BYTES, MARKER
from flowise_telemetry_schemas.registered_schemas import with_registry
from flowise_telemetry_schemas.wire_format import ID_HEADER, SchemaId, with_id
from flowise_telemetry_transport.types import Headers

__all__ = ["FRAMINGS", "MemoryRegistry"]

FIRST_ID = 100


class MemoryRegistry:
    """The schemas of the catalog, and others that are added. The next questions raise ``failures``."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.asked: list[SchemaId] = []
        self.failures: list[TelemetryError] = []
        self.on_failure: Callable[[], None] = lambda: None
        for schema in catalog():
            self.add(dict(schema.source))

    def add(self, schema: Any) -> int:
        """Register a schema as text, or as anything that is JSON."""
        number = FIRST_ID + len(self.texts)
        self.texts[number] = schema if isinstance(schema, str) else json.dumps(schema)
        return number

    def schema_text(self, schema_id: SchemaId) -> str:
        if self.failures:
            self.on_failure()
            raise self.failures.pop(0)
        self.asked.append(schema_id)
        number = schema_id.int if isinstance(schema_id, uuid.UUID) else schema_id
        if number not in self.texts:
            raise SchemaError(f"the registry does not have schema {schema_id}")
        return self.texts[number]

    def id_of(self, schema: EventSchema) -> int:
        return next(number for number, text in self.texts.items() if json.loads(text) == schema.source)

    def catalog(self, base: Catalog | None = None) -> Catalog:
        """Return the catalog of a consumer that has this registry."""
        return with_registry(base or catalog(), self)

    def _number(self, message: bytes) -> int:
        schema = catalog().by_fingerprint(message[len(MARKER) : HEADER_BYTES])
        assert schema is not None
        return self.id_of(schema)

    def prefixed(self, message: bytes) -> tuple[bytes, Headers]:
        return with_id(self._number(message), message[HEADER_BYTES:]), ()

    def by_guid(self, message: bytes) -> tuple[bytes, Headers]:
        guid = uuid.UUID(int=self._number(message))
        return message[HEADER_BYTES:], (("trace", b"x"), (ID_HEADER, b"\x01" + guid.bytes))

    def by_header_id(self, message: bytes) -> tuple[bytes, Headers]:
        return message[HEADER_BYTES:], ((ID_HEADER, with_id(self._number(message), b"")),)

    def single(self, message: bytes) -> tuple[bytes, Headers]:
        return message, (("trace", b"x"),)


FRAMINGS: dict[str, Callable[[MemoryRegistry, bytes], tuple[bytes, Headers]]] = {
    "the id in the value": MemoryRegistry.prefixed,
    "the GUID in a header": MemoryRegistry.by_guid,
    "the id in a header": MemoryRegistry.by_header_id,
    "a fingerprint": MemoryRegistry.single,
}
