"""The catalog of schemas: every released version of every kind of record, by name or by fingerprint."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import TYPE_CHECKING, Any, Protocol

from flowise_telemetry_schemas.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from flowise_telemetry_schemas.field import Field
    from flowise_telemetry_schemas.wire_format import SchemaId

__all__ = ["MAX_NAME_CHARACTERS", "NAMESPACE", "Catalog", "EventSchema", "WriterSchemas", "catalog", "is_event_name"]

NAMESPACE = "flowise.telemetry"
"""The namespace of the schemas that this package ships, and of no others."""


MAX_NAME_CHARACTERS = 40
"""Of an event's name."""

_EVENT_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z][a-z0-9]*)*")
_VERSION = re.compile(r"v[1-9][0-9]{0,3}")


def is_event_name(text: str) -> bool:
    """Return True for snake_case of at most ``MAX_NAME_CHARACTERS``."""
    return len(text) <= MAX_NAME_CHARACTERS and _EVENT_NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, eq=False)
class EventSchema:
    """One version of one event, read from its ``.avsc`` file. Compares by identity, which makes it a cheap cache key.

    ``control`` is True for a record that the producer makes of itself (``"control": true`` in the file): it is encoded,
    written and replayed like an event, and counted apart from them.
    ``fingerprint`` is the CRC-64-AVRO of the schema's Parsing Canonical Form, little-endian, as it stands in a message
    (Avro 1.12, "Single object encoding"). ``wire`` is the schema parsed by fastavro, without logical types: a timestamp
    is read and written as an int of milliseconds, a UUID as a str.
    """

    event: str
    version: int
    name: str
    doc: str
    fields: tuple[Field, ...]
    fingerprint: bytes
    source: Mapping[str, Any] = dataclass_field(repr=False)
    wire: Any = dataclass_field(repr=False)
    control: bool = False

    @property
    def fingerprint_hex(self) -> str:
        """The fingerprint as a big-endian hexadecimal number, as Avro's tools print it."""
        return self.fingerprint[::-1].hex()

    @property
    def namespace(self) -> str:
        """The namespace of the record's name."""
        return str(self.source.get("namespace", ""))

    @property
    def is_own(self) -> bool:
        """True for an event that an app brings itself, in a namespace of its own."""
        return self.namespace != NAMESPACE

    @classmethod
    def read(cls, event: str, version: int, source: Mapping[str, Any]) -> EventSchema:
        """Read a schema from the JSON of its file. Raises ``SchemaError`` if Avro or the contract rejects it."""
        # Imported here: importing fastavro takes 20 ms, which an app that imports the producer should not pay.
        from fastavro.schema import SchemaParseException, UnknownType, fingerprint, parse_schema
        from fastavro.schema import to_parsing_canonical_form as canonical

        from flowise_telemetry_schemas.field import Field, read_fields

        try:
            fields = read_fields(source["fields"], where=event)
            root = Field(name="", kind="record", type_name=f"{source['namespace']}.{source['name']}", fields=fields)
            digest = fingerprint(canonical(dict(source)), "CRC-64-AVRO")
            wire = parse_schema(_inline_once(root.wire, {}, where=event))
        except (KeyError, TypeError, AttributeError, SchemaParseException, UnknownType) as error:
            raise SchemaError(f"{event} v{version}: not a record schema of ours: {error!r}", event=event) from error
        return cls(
            event=event,
            version=version,
            name=source["name"],
            doc=source.get("doc", ""),
            fields=fields,
            fingerprint=bytes.fromhex(digest),
            source=source,
            wire=wire,
            control=source.get("control") is True,
        )


class WriterSchemas(Protocol):
    """Schemas that records name by an id in a registry; see ``registered_schemas``."""

    def get(self, schema_id: SchemaId) -> EventSchema:
        """Return the schema of an id. Raises ``DecodeError``, and a retryable error without an answer."""
        ...

    def by_fingerprint(self, fingerprint: bytes) -> EventSchema | None:
        """Return one that was asked for before, by its fingerprint."""
        ...


def _inline_once(node: Any, seen: dict[str, Any], *, where: str) -> Any:
    """Return the schema with each named type defined once and referred to by name after that (Avro 1.12, "Names").

    Raises ``SchemaError`` for two types of one name: the second would be read as the first, and one that holds another
    of its name as if it held itself, which takes a decoder past the end of its stack.
    """
    if isinstance(node, list):
        return [_inline_once(item, seen, where=where) for item in node]
    if not isinstance(node, dict):
        return node
    name = node.get("name")
    if node.get("type") in ("record", "enum"):
        if seen.setdefault(str(name), node) != node:
            raise SchemaError(f"{where}: the type {name} is declared twice, and differently", event=where)
        if seen[str(name)] is not node:
            return name
    return {
        key: _inline_once(value, seen, where=where) if key in ("type", "items", "fields") else value
        for key, value in node.items()
    }


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

        schemas = []
        for event in folder.iterdir():
            if not event.is_dir():
                continue
            for file in event.iterdir():
                stem, _, suffix = file.name.partition(".")
                if suffix != "avsc":
                    continue
                if not _VERSION.fullmatch(stem):
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
