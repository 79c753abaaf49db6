"""The rules for schema files, which keep fields that could hold free text from being released.

A misspelt keyword is a problem too: it would silently switch a check off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowise_telemetry_schemas.catalog import Catalog, EventSchema
from flowise_telemetry_schemas.envelope import ENVELOPE_FIELDS, VERSION_FIELD
from flowise_telemetry_schemas.field import Field
from flowise_telemetry_schemas.node_types import OTHER_TYPE

__all__ = ["CLASSIFICATIONS", "HOLDS", "Problem", "evolution_problems", "problems", "source_problems"]

HOLDS = {
    "version": "the app's version",
    "nodeId": "a node's id: its type, if the vocabulary has it, and a number",
    "functionName": "a name that a person chose: withheld unless it looks like a function's and like no credential",
    "databaseId": "an id of the app's database: hashed, where ids are",
    "givenId": "an id that a caller chose: hashed, where ids are, and unless it is a UUID",
}
"""What a string may hold besides what its pattern says: the producer looks at it before it is sent."""

CLASSIFICATIONS = ("identifier", "name", "enum", "count", "time", "structure")

_RECORD_KEYS = {"type", "name", "namespace", "doc", "fields"}
_CONTROL = "control"  # of the outermost record alone
_FIELD_KEYS = {"name", "type", "doc", "purpose", "classification", "aliases", "default"}
_TYPE_KEYS = {
    "string": {"type", "logicalType", "holds", "pattern", "maxLength"},
    "int": {"type", "minimum", "maximum"},
    "long": {"type", "logicalType", "minimum", "maximum"},
    "boolean": {"type"},
    "enum": {"type", "name", "doc", "symbols", "default"},
    "array": {"type", "items", "maxItems"},
    "record": _RECORD_KEYS,
}
_BOUNDS = {
    "string": ("pattern", "maxLength"),
    "array": ("maxItems",),
    "int": ("minimum", "maximum"),
    "long": ("minimum", "maximum"),
}
_PRIMITIVES = ("string", "int", "long", "boolean")
_LOGICAL = {("string", "uuid"), ("long", "timestamp-millis")}

# The subset that Python's re, polars and PostgreSQL interpret alike, without "." and negated sets: they
# would let prose in.
_PATTERN = re.compile(r"\^(?:[A-Za-z0-9_-]|\\[.]|\[[A-Za-z0-9_-]+\]|\{\d+(?:,\d+)?\}|[()|?])+\$")

FORBIDDEN_TEXT = (
    "What is the capital of France?",
    "hello world",
    "jane.doe@example.com",
    "https://example.com/path?token=1",
    "192.168.0.1",
    "/home/jane/flow.json",
    "C:\\Users\\jane",
    "sk-proj-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKl",
    "AKIAIOSFODNN7EXAMPLE/wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "OPENAI_API_KEY=abc",
    "{{$vars.secret}}",
    "line\nbreak",
    "",
)
"""Texts that no string of any schema may accept: prose, addresses, paths, keys, tokens, variables."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule that a schema breaks. ``where`` is the event, its version and the path of the field."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def problems(schemas: Catalog) -> list[Problem]:
    """Return all problems of a catalog; none if it may be released."""
    found: list[Problem] = []
    previous: EventSchema | None = None
    for schema in schemas:
        found += source_problems(schema.event, schema.version, schema.source)
        if previous is not None and previous.event == schema.event:
            found += evolution_problems(previous, schema)
        elif schema.version != 1:
            found.append(Problem(f"{schema.event} v{schema.version}", "the first version is v1"))
        previous = schema
    return found


def source_problems(event: str, version: int, source: Mapping[str, Any]) -> list[Problem]:
    """Return all problems of the JSON of one schema file."""
    where = f"{event} v{version}"
    found = list(_record({key: value for key, value in source.items() if key != _CONTROL}, where))
    if source.get(_CONTROL, True) is not True:
        found.append(Problem(where, "control must be true, or left out"))
    if source.get("namespace") != "flowise.telemetry":
        found.append(Problem(where, 'the namespace must be "flowise.telemetry"'))
    if re.sub(r"(?<!^)(?=[A-Z])", "_", str(source.get("name"))).lower() != event:
        found.append(Problem(where, "the record's name must be the folder's name in CamelCase"))
    names = tuple(field.get("name") for field in source.get("fields", []) if isinstance(field, Mapping))
    wanted = (*ENVELOPE_FIELDS, VERSION_FIELD)
    if names[: len(wanted)] != wanted:
        found.append(Problem(where, f"the first fields must be {', '.join(wanted)}"))
    return found


def evolution_problems(old: EventSchema, new: EventSchema) -> list[Problem]:
    """Return the changes that keep the new version from reading old records, or a sink from keeping its columns."""
    where = f"{new.event} v{new.version}"
    if new.control != old.control:
        return [Problem(where, "an event cannot become a control record, nor the reverse")]
    if new.version != old.version + 1:
        return [Problem(where, f"the version after v{old.version} is v{old.version + 1}")]
    return list(_field_changes(old.fields, new.fields, where))


def _field_changes(old: tuple[Field, ...], new: tuple[Field, ...], where: str) -> Iterator[Problem]:
    before = {field.name: field for field in old}
    after = {field.name: field for field in new}
    for name in before.keys() - after.keys():
        yield Problem(f"{where}: {name}", "a released field cannot be removed")
    for name, field in after.items():
        if name not in before:
            if not field.has_default:
                yield Problem(
                    f"{where}: {name}",
                    "a new field needs a default, for older records",
                )
        else:
            yield from _type_change(before[name], field, f"{where}: {name}")


def _type_change(old: Field, new: Field, where: str) -> Iterator[Problem]:
    if (old.kind, old.type_name) != (new.kind, new.type_name):
        yield Problem(where, f"its type changed from {old.kind} to {new.kind}")
    elif old.nullable and not new.nullable:
        yield Problem(where, "null was allowed and must stay allowed")
    elif new.symbols[: len(old.symbols)] != old.symbols:
        yield Problem(where, "symbols may only be added, at the end")
    elif old.fields:
        yield from _field_changes(old.fields, new.fields, where)
    elif old.items and new.items:
        yield from _type_change(old.items, new.items, f"{where}[]")


def _record(source: Mapping[str, Any], where: str) -> Iterator[Problem]:
    yield from _unknown_keys(source, _RECORD_KEYS, where)
    if not source.get("doc"):
        yield Problem(where, "doc is missing")
    for field in source.get("fields", []):
        path = f"{where}: {field.get('name')}" if ": " not in where else f"{where}.{field.get('name')}"
        yield from _unknown_keys(field, _FIELD_KEYS, path)
        for key in ("doc", "purpose"):
            if not field.get(key):
                yield Problem(path, f"{key} is missing")
        if field.get("classification") not in CLASSIFICATIONS:
            yield Problem(path, f"classification must be one of {', '.join(CLASSIFICATIONS)}")
        yield from _type(field.get("type"), path)


def _type(declared: Any, path: str) -> Iterator[Problem]:
    nullable = isinstance(declared, list)
    if isinstance(declared, list):
        branches = [branch for branch in declared if branch != "null"]
        name = branches[0].get("type") if branches and isinstance(branches[0], Mapping) else (branches or [None])[0]
        if len(declared) != 2 or declared[0] != "null" or len(branches) != 1 or name not in _PRIMITIVES:
            yield Problem(path, "a union may hold null and one primitive, in this order")
            return
        declared = branches[0]
    declared = {"type": declared} if isinstance(declared, str) else declared
    kind = declared.get("type") if isinstance(declared, Mapping) else None
    if kind not in _TYPE_KEYS:
        yield Problem(
            path,
            f"the type must be one of {', '.join(_TYPE_KEYS)}: map, bytes, fixed, float and references are refused",
        )
        return
    yield from _unknown_keys(declared, _TYPE_KEYS[kind], path)
    logical = declared.get("logicalType")
    if logical is not None and (kind, logical) not in _LOGICAL:
        yield Problem(path, f"the logical type of a {kind} cannot be {logical}")
    for keyword in _BOUNDS.get(kind, ()):
        wanted = str if keyword == "pattern" else int
        if type(declared.get(keyword)) is not wanted:
            yield Problem(path, f"a {kind} needs {keyword}")
    match kind:
        case "string":
            yield from _pattern(declared.get("pattern"), declared.get("maxLength"), path)
            yield from _holds(declared, path, nullable=nullable)
        case "array":
            yield from _type(declared.get("items"), f"{path}[]")
        case "record":
            yield from _record(declared, path)


def _holds(declared: Mapping[str, Any], path: str, *, nullable: bool) -> Iterator[Problem]:
    holds = declared.get("holds")
    if holds is None:
        return
    if holds not in HOLDS:
        yield Problem(path, f"holds must be one of {', '.join(HOLDS)}")
    elif holds == "functionName" and not nullable:
        yield Problem(path, "a functionName must be nullable, as it may be withheld")
    elif holds == "nodeId" and not re.fullmatch(str(declared.get("pattern")), f"{OTHER_TYPE}_0"):
        yield Problem(path, f"the pattern of a nodeId must take {OTHER_TYPE}_0")


def _pattern(pattern: object, max_length: object, path: str) -> Iterator[Problem]:
    if not isinstance(pattern, str):
        return
    if not _PATTERN.fullmatch(pattern):
        yield Problem(
            path,
            "the pattern must be ^…$ of letters, digits, _, -, \\., plain sets, groups and bounded repeats {m,n}",
        )
        return
    try:
        fits = re.compile(pattern)
    except re.error as error:
        yield Problem(path, f"the pattern is not a regular expression: {error}")
        return
    for text in FORBIDDEN_TEXT:
        if fits.fullmatch(text) and len(text) <= (max_length if isinstance(max_length, int) else 0):
            yield Problem(path, f"the pattern lets in text such as {text!r}")


def _unknown_keys(declared: Mapping[str, Any], known: set[str], path: str) -> Iterator[Problem]:
    for key in declared.keys() - known:
        yield Problem(path, f"unknown keyword {key}")
