"""The fields of an event, read from the subset of Avro that the contract allows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowise_telemetry_schemas.envelope import ENVELOPE_FIELDS
from flowise_telemetry_schemas.errors import SchemaError

__all__ = ["Field", "all_fields", "flatten", "read_fields"]

_HOLDS = {"uuid": "databaseId"}
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record: its Avro type reduced to a ``kind``, its bounds, and why it is collected.

    ``kind`` is one of ``string``, ``uuid`` (a string), ``enum``, ``int``, ``long``, ``boolean``, ``timestamp`` (a long:
    milliseconds since 1970, UTC), ``array`` (see ``items``) and ``record`` (see ``fields``). The ``items`` of an array
    have neither name nor purpose. ``holds`` says what a string is, where the producer does more than check its pattern
    (``check.HOLDS``); a ``uuid`` that is not of the envelope is a ``databaseId`` unless it says otherwise.
    ``disclosure`` is the number of the disclosure that named it first, 1 being that of the first release: until users
    were shown that one, the producer writes the default. ``other_symbol`` is the default of an enum's type (Avro 1.12,
    "Enums"): it stands for whatever the enum does not list.
    """

    name: str
    kind: str
    nullable: bool = False
    doc: str = ""
    purpose: str = ""
    classification: str = ""
    disclosure: int = 1
    aliases: tuple[str, ...] = ()
    has_default: bool = False
    default: object = None
    type_name: str | None = None
    type_doc: str = ""
    holds: str | None = None
    pattern: str | None = None
    max_length: int | None = None
    max_items: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    symbols: tuple[str, ...] = ()
    other_symbol: str | None = None
    items: Field | None = None
    fields: tuple[Field, ...] = ()

    @property
    def column(self) -> str:
        """The field's name in snake_case, as in event classes and tables."""
        return _WORD_START.sub("_", self.name).lower()

    @property
    def wire(self) -> object:
        """The field's Avro type without logical types, documentation and bounds: the bytes are the same."""
        plain: str | dict[str, object]
        match self.kind:
            case "record":
                plain = {
                    "type": "record",
                    "name": self.type_name,
                    "fields": [field._wire_field() for field in self.fields],
                }
            case "array":
                assert self.items is not None  # noqa: S101 - read_fields gives every array its items
                plain = {"type": "array", "items": self.items.wire}
            case "enum":
                plain = {"type": "enum", "name": self.type_name, "symbols": list(self.symbols)}
                if self.other_symbol is not None:
                    plain["default"] = self.other_symbol
            case "uuid":
                plain = "string"
            case "timestamp":
                plain = "long"
            case _:
                plain = self.kind
        return ["null", plain] if self.nullable else plain

    def _wire_field(self) -> dict[str, object]:
        # Not encoded, but readers need defaults and aliases to resolve an older writer's record.
        declared: dict[str, object] = {"name": self.name, "type": self.wire}
        if self.has_default:
            declared["default"] = self.default
        if self.aliases:
            declared["aliases"] = list(self.aliases)
        return declared


def flatten(field: Field, prefix: str = "") -> Iterator[tuple[str, Field]]:
    """Yield a field and all below it by path: ``flowGraph``, ``flowGraph.edges``, ``flowGraph.edges[].source``."""
    path = prefix + field.name
    yield path, field
    inner, inner_path = field, path
    while inner.items is not None:
        inner, inner_path = inner.items, inner_path + "[]"
    for below in inner.fields:
        yield from flatten(below, f"{inner_path}.")


def all_fields(fields: Iterable[Field]) -> Iterator[Field]:
    """Yield fields, the items of arrays and all that is below them."""
    for field in fields:
        yield field
        yield from all_fields(field.fields if field.items is None else (field.items,))


def read_fields(fields: Sequence[Mapping[str, Any]], *, where: str) -> tuple[Field, ...]:
    """Read the fields of a record schema, in order. Raises ``SchemaError`` for a type that the contract forbids."""
    return tuple(_read_field(field, where=where, envelope=ENVELOPE_FIELDS) for field in fields)


def _read_field(field: Mapping[str, Any], *, where: str, envelope: Sequence[str] = ()) -> Field:
    name = field["name"]
    if not isinstance(name, str):
        raise SchemaError(f"{where}: the name of a field must be a string")
    avro_type = field["type"]
    nullable = False
    if isinstance(avro_type, list):
        branches = [branch for branch in avro_type if branch != "null"]
        # A union is encoded by its branch's index, and this code takes null to be the first.
        if len(avro_type) != 2 or avro_type[0] != "null" or len(branches) != 1:
            raise SchemaError(f"{where}.{name}: a union may hold null and one primitive, in this order", field=name)
        avro_type, nullable = branches[0], True
    read = _read_type(avro_type, where=f"{where}.{name}")
    if name in envelope:
        read["holds"] = None  # made by the producer itself
    return Field(
        name=name,
        nullable=nullable,
        doc=field.get("doc", ""),
        purpose=field.get("purpose", ""),
        classification=field.get("classification", ""),
        disclosure=field.get("disclosure", 1),
        aliases=tuple(field.get("aliases", ())),
        has_default="default" in field,
        default=field.get("default"),
        **read,
    )


def _read_type(avro_type: str | Mapping[str, Any], *, where: str) -> dict[str, Any]:
    declared: Mapping[str, Any] = {"type": avro_type} if isinstance(avro_type, str) else avro_type
    match declared["type"], declared.get("logicalType"):
        case "string", None | "uuid" as logical:
            kind = logical or "string"
            return {
                "kind": kind,
                "holds": declared.get("holds", _HOLDS.get(kind)),
                "pattern": declared.get("pattern"),
                "max_length": declared.get("maxLength"),
            }
        case ("int" | "long" | "boolean") as kind, None:
            return {"kind": kind, "minimum": declared.get("minimum"), "maximum": declared.get("maximum")}
        case "long", "timestamp-millis":
            return {
                "kind": "timestamp",
                "minimum": declared.get("minimum"),
                "maximum": declared.get("maximum"),
            }
        case "enum", None:
            if not isinstance(declared["symbols"], list):
                raise SchemaError(f"{where}: the symbols of an enum must be a list")
            symbols = tuple(declared["symbols"])
            return {"kind": "enum", "symbols": symbols, "other_symbol": declared.get("default"), **_named(declared)}
        case "array", None:
            items = Field(name="", **_read_type(declared["items"], where=f"{where}[]"))
            return {"kind": "array", "items": items, "max_items": declared.get("maxItems")}
        case "record", None:
            return {
                "kind": "record",
                # One that is called as a field of the envelope is none of it: whatever it holds is the app's.
                "fields": tuple(_read_field(field, where=where) for field in declared["fields"]),
                **_named(declared),
            }
        case other, logical:
            raise SchemaError(f"{where}: the type {other} {logical or ''} is not allowed".replace("  ", " "))


def _named(declared: Mapping[str, Any]) -> dict[str, Any]:
    return {"type_name": declared["name"], "type_doc": declared.get("doc", "")}
