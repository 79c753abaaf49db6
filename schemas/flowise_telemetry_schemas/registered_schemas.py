"""Writer schemas by their id in a registry: each is asked for once, and matched with the catalog's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from flowise_telemetry_schemas.catalog import Catalog
from flowise_telemetry_schemas.errors import DecodeError, SchemaError
from flowise_telemetry_schemas.event_schema import EventSchema
from flowise_telemetry_schemas.field import Field, all_fields
from flowise_telemetry_schemas.printable import printable

if TYPE_CHECKING:
    from flowise_telemetry_schemas.wire_format import SchemaId

__all__ = ["NEWER", "RegisteredSchemas", "SchemaSource", "with_registry"]

NEWER = 0
"""The version of a schema that a registry handed out and that no file here has: it has no number of ours."""

_MAX_BYTES = 1_048_576  # of a schema's text; ours have less than a hundredth of that
_MAX_IDS = 10_000
_MAX_NEWER = 1_000  # versions of our events, in the life of a process
_MAX_FIELDS = 2_000  # at all depths; ours have less than a fiftieth of that
_ASK_AGAIN_SECONDS = 60.0  # for an id that the registry did not know: anyone may write one, or it comes late
_NAME_CHARACTERS = 100


class SchemaSource(Protocol):
    """A registry."""

    def schema_text(self, schema_id: SchemaId) -> str:
        """Return a schema as JSON.

        Raises ``SchemaError`` if the registry answers that it has none of this id, and a retryable ``TelemetryError``
        as long as it gives no answer.
        """
        ...


def with_registry(catalog: Catalog, source: SchemaSource) -> Catalog:
    """Return a catalog of the same schemas that also reads records which name their schema by its id in a registry."""
    return catalog.with_registered(RegisteredSchemas(source, catalog))


class RegisteredSchemas:
    """The schemas of a registry that are events of ours.

    One whose fingerprint is in the catalog is the catalog's own. Another one of an event of the catalog is a newer
    version: records of it are read as those of the newest version here. Any other is refused.
    """

    def __init__(self, source: SchemaSource, catalog: Catalog, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._catalog = catalog
        self._clock = clock
        self._found: dict[SchemaId, EventSchema] = {}
        self._refused: dict[SchemaId, tuple[str, float]] = {}
        self._newer: dict[bytes, EventSchema] = {}

    def by_fingerprint(self, fingerprint: bytes) -> EventSchema | None:
        """Return a newer schema that the registry handed out, by its fingerprint; None if it did not."""
        return self._newer.get(fingerprint)

    def get(self, schema_id: SchemaId) -> EventSchema:
        """Return the schema of this id.

        Raises ``DecodeError`` (``unknown_schema``) if the registry does not have it, or it is no event; that answer is
        kept for a minute. Raises the retryable errors of the source.
        """
        found = self._found.get(schema_id)
        if found is not None:
            return found
        why, until = self._refused.get(schema_id, ("", 0.0))
        if not why or self._clock() >= until:
            try:
                schema = self._read(schema_id, self._source.schema_text(schema_id))
            except SchemaError as error:
                why = error.message
                if len(self._refused) >= _MAX_IDS:
                    self._refused.clear()
                self._refused[schema_id] = (why, self._clock() + _ASK_AGAIN_SECONDS)
            else:
                self._refused.pop(schema_id, None)
                if len(self._found) >= _MAX_IDS:  # a registry may take any id for the same schema
                    self._found.clear()
                self._found[schema_id] = schema
                return schema
        raise DecodeError(why, reason="unknown_schema", schema=str(schema_id))

    def _read(self, schema_id: SchemaId, text: str) -> EventSchema:
        try:
            source = json.loads(text) if len(text) <= _MAX_BYTES else None
        except (ValueError, RecursionError):
            source = None
        if not isinstance(source, dict) or source.get("type") != "record":
            raise SchemaError(f"schema {schema_id} of the registry is no record")
        name = self._full_name(source)
        event = next((each.event for each in self._catalog if f"{each.source['namespace']}.{each.name}" == name), None)
        if event is None:
            shown = printable(name)[:_NAME_CHARACTERS]
            raise SchemaError(f"schema {schema_id} of the registry is of {shown}, which is no event of ours")
        return self._matched(event, source)

    @staticmethod
    def _full_name(source: dict[str, Any]) -> str:
        name = str(source.get("name", ""))
        return name if "." in name else f"{source.get('namespace', '')}.{name}"

    def _matched(self, event: str, source: dict[str, Any]) -> EventSchema:
        if "namespace" not in source:  # the full name may be in "name" alone (Avro 1.12, "Names")
            namespace, _, name = str(source["name"]).rpartition(".")
            source = {**source, "namespace": namespace, "name": name}
        try:
            schema = EventSchema.read(event, NEWER, source)
        except SchemaError:
            raise
        except Exception as error:  # anyone may register anything, such as what is nested a thousand times
            what = type(error).__name__
            raise SchemaError(f"the registry's schema of {event} cannot be read: {what}", event=event) from error
        why = _unfit(schema.fields)
        if why is not None:
            raise SchemaError(f"the registry's schema of {event} {why}", event=event)
        known = self._catalog.by_fingerprint(schema.fingerprint) or self._newer.get(schema.fingerprint)
        if known is not None:
            return known
        if len(self._newer) >= _MAX_NEWER:
            raise SchemaError(f"the registry has handed out {_MAX_NEWER:,} newer versions already", event=event)
        self._newer[schema.fingerprint] = schema
        return schema


def _unfit(fields: tuple[Field, ...]) -> str | None:
    """Return why a schema with these fields must not reach a decoder; None if it may."""
    below = [*all_fields(fields)]
    records = [fields, *(field.fields for field in below if field.kind == "record")]
    if not all(records):
        # Items of no bytes: a few bytes of a record would say a billion of them.
        return "has a record without fields"
    if len(below) > _MAX_FIELDS:
        return f"has over {_MAX_FIELDS:,} fields"
    if any(len({field.name for field in record}) < len(record) for record in records):
        return "has a field twice"  # of which one decoder takes the first, another the last
    return None
