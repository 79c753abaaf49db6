"""The catalog of schemas: every released version of every kind of record, by name or by fingerprint."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, Protocol

from flowise_telemetry_schemas.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from flowise_telemetry_schemas.event_schema import EventSchema
    from flowise_telemetry_schemas.wire_format import SchemaId

__all__ = ["MAX_NAME_CHARACTERS", "Catalog", "WriterSchemas", "catalog", "is_event_name"]

MAX_NAME_CHARACTERS = 40
"""Of an event's name."""

_EVENT_NAME = r"[a-z][a-z0-9]*(_[a-z][a-z0-9]*)*"  # a string, which re compiles at first use: importing stays short
_VERSION = r"v[1-9][0-9]{0,3}"


def is_event_name(text: str) -> bool:
    """Return True for snake_case of at most ``MAX_NAME_CHARACTERS``."""
    return len(text) <= MAX_NAME_CHARACTERS and re.fullmatch(_EVENT_NAME, text) is not None


class WriterSchemas(Protocol):
    """Schemas that records name by an id in a registry; see ``registered_schemas``."""

    def get(self, schema_id: SchemaId) -> EventSchema:
        """Return the schema of an id. Raises ``DecodeError``, and a retryable error without an answer."""
        ...

    def by_fingerprint(self, fingerprint: bytes) -> EventSchema | None:
        """Return one that was asked for before, by its fingerprint."""
        ...


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of these pairs; of a key that is there twice some parsers take the first, some the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice in one object")
    return found


class Catalog:
    """All schemas of a folder of ``<event>/v<version>.avsc`` files, or of two that were joined."""

    def __init__(self, schemas: tuple[EventSchema, ...], *, folder: Traversable | Path | None = None) -> None:
        self._folders = {} if folder is None else {schema.event: folder for schema in schemas}
        self.registered: WriterSchemas | None = None
        """The schemas of a registry by their ids, where ``with_registered`` gave them."""
        self._schemas = tuple(sorted(schemas, key=lambda schema: (schema.event, schema.version)))
        self._latest = {schema.event: schema for schema in self._schemas}
        self._events = tuple(name for name, schema in self._latest.items() if not schema.control)
        self._by_fingerprint = {schema.fingerprint: schema for schema in self._schemas}
        if len(self._by_fingerprint) != len(self._schemas):
            raise SchemaError(
                "two schemas have the same fingerprint: a new version must differ in more than its bounds"
            )

    @classmethod
    def load(cls, folder: Traversable | Path) -> Catalog:
        """Load the catalog of a folder. Raises ``SchemaError`` naming the file at fault."""
        import json

        from flowise_telemetry_schemas.event_schema import EventSchema  # 2 ms, which an app's import does not pay

        schemas = []
        for event in folder.iterdir():
            if not event.is_dir():
                continue
            for file in event.iterdir():
                stem, _, suffix = file.name.partition(".")
                if suffix != "avsc":
                    continue
                if not re.fullmatch(_VERSION, stem):
                    raise SchemaError(f"{event.name}/{file.name}: a schema file is named v1.avsc, v2.avsc, …")
                try:
                    source = json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=_once)
                except (ValueError, RecursionError) as error:
                    raise SchemaError(f"{event.name}/{file.name}: not JSON: {error}", event=event.name) from error
                schemas.append(EventSchema.read(event.name, int(stem[1:]), source))
        return cls(tuple(schemas), folder=folder)

    def joined(self, other: Catalog) -> Catalog:
        """Return the catalog of both. Raises ``SchemaError`` for an event that is in both."""
        twice = sorted(set(self.names) & set(other.names))
        if twice:
            raise SchemaError(f"two folders have an event {twice[0]}", event=twice[0])
        both = Catalog((*self, *other))
        both._folders = {**self._folders, **other._folders}
        return both

    def with_registered(self, schemas: WriterSchemas) -> Catalog:
        """Return a catalog of the same schemas that also knows a writer's schema by its id in a registry."""
        found = Catalog(self._schemas)
        found._folders = self._folders
        found.registered = schemas
        return found

    @property
    def events(self) -> tuple[str, ...]:
        """The names of the events that an app sends, sorted."""
        return self._events

    @property
    def control(self) -> frozenset[str]:
        """The names of the control records."""
        return frozenset(name for name, schema in self._latest.items() if schema.control)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all kinds of record, control records included, sorted."""
        return tuple(self._latest)

    @property
    def disclosure(self) -> int:
        """The number of the latest disclosure: the highest of any field of the newest versions."""
        return max((field.disclosure for schema in self._latest.values() for field in schema.fields), default=1)

    def __iter__(self) -> Iterator[EventSchema]:
        return iter(self._schemas)

    def latest(self, event: str) -> EventSchema:
        """Return the newest version of a kind of record. Raises ``SchemaError`` listing the names that exist."""
        try:
            return self._latest[event]
        except KeyError:
            raise SchemaError(f"no such event; there are: {', '.join(self.names)}") from None

    def get(self, event: str, version: int) -> EventSchema:
        """Return one version of an event. Raises ``SchemaError`` that names the latest version."""
        latest = self.latest(event)
        for schema in self._schemas:
            if (schema.event, schema.version) == (event, version):
                return schema
        raise SchemaError(f"{event} has no version {version}; the latest is {latest.version}", event=event)

    def text_beside(self, event: str, name: str) -> str | None:
        """Return the text of a file beside an event's versions; None if there is none, or the catalog has no folder.

        Raises ``SchemaError`` for what is no text.
        """
        folder = self._folders.get(event)
        if folder is None:
            return None
        file = folder / event / name
        try:
            return file.read_text(encoding="utf-8") if file.is_file() else None
        except UnicodeDecodeError as error:
            raise SchemaError(f"{event}/{name} is not UTF-8 text", event=event) from error

    def by_fingerprint(self, fingerprint: bytes) -> EventSchema | None:
        """Return the schema of this fingerprint (8 bytes, as in a message), or None."""
        found = self._by_fingerprint.get(fingerprint)
        if found is None and self.registered is not None:
            return self.registered.by_fingerprint(fingerprint)
        return found


@functools.cache
def catalog() -> Catalog:
    """Return the catalog of the schemas that this package ships, read once."""
    from importlib.resources import files  # as above: 6 ms

    return Catalog.load(files("flowise_telemetry_schemas") / "avro")
