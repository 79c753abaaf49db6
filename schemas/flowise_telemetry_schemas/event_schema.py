"""One version of one event's schema, as its ``.avsc`` file declares it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import TYPE_CHECKING, Any

from flowise_telemetry_schemas.errors import SchemaError

if TYPE_CHECKING:
    from flowise_telemetry_schemas.field import Field

__all__ = ["NAMESPACE", "EventSchema"]

NAMESPACE = "flowise.telemetry"
"""The namespace of the schemas that this package ships, and of no others."""


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
