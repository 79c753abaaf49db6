"""The rules for schema files, which keep fields that could hold free text from being released.

A misspelt keyword is a problem too: it would silently switch a check off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from flowise_telemetry_schemas.catalog import Catalog
from flowise_telemetry_schemas.consistency import consistency_problems, parsed_pattern, type_problems
from flowise_telemetry_schemas.envelope import ENVELOPE_FIELDS, VERSION_FIELD
from flowise_telemetry_schemas.errors import SchemaError
from flowise_telemetry_schemas.event_schema import NAMESPACE, EventSchema
from flowise_telemetry_schemas.evolution import evolution_problems
from flowise_telemetry_schemas.field import read_fields
from flowise_telemetry_schemas.node_types import OTHER_TYPE
from flowise_telemetry_schemas.problem import Problem

__all__ = ["CLASSIFICATIONS", "HOLDS", "problems", "source_problems"]

HOLDS = {
    "version": "the app's version",
    "nodeId": "a node's id: its type, if the vocabulary has it, and a number",
    "functionName": "a name that a person chose: withheld unless it looks like a function's and like no credential",
    "databaseId": "an id of the app's database: hashed, where ids are",
    "givenId": "an id that a caller chose: hashed, where ids are, and unless it is a UUID",
}
"""What a string may hold besides what its pattern says: the producer looks at it before it is sent."""

CLASSIFICATIONS = ("identifier", "name", "enum", "count", "time", "structure")

_NAMESPACE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_MAX_NAMESPACE_CHARACTERS = 80

_RECORD_KEYS = {"type", "name", "namespace", "doc", "fields"}
_CONTROL = "control"  # of the outermost record alone
_FIELD_KEYS = {"name", "type", "doc", "purpose", "classification", "aliases", "default", "disclosure"}
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
    "what_is_the_capital_of_france_and_who_lives_there",
    "what-is-the-capital-of-france-and-who-lives-there",
    "what.is.the.capital.of.france.and.who.lives.there",
    "line\nbreak",
    "",
)
"""Texts that no string of any schema may accept: prose, also with its words joined, addresses, paths, keys, tokens,
variables.
"""


def problems(schemas: Catalog) -> list[Problem]:
    """Return all problems of a catalog; none if it may be released."""
    found: list[Problem] = []
    earlier: list[EventSchema] = []
    for schema in schemas:
        found += source_problems(schema.event, schema.version, schema.source)
        earlier = [old for old in earlier if old.event == schema.event]
        if earlier:
            found += evolution_problems(earlier, schema)
        elif schema.version != 1:
            found.append(Problem(f"{schema.event} v{schema.version}", "the first version is v1"))
        earlier.append(schema)
    spaces = sorted({schema.namespace for schema in schemas})
    if len(spaces) > 1:
        found.append(Problem("namespace", f"a folder has one namespace, not {', '.join(map(repr, spaces))}"))
    newest = map(schemas.latest, schemas.names)
    found += type_problems((f"{schema.event} v{schema.version}", schema.fields) for schema in newest)
    return found


def source_problems(event: str, version: int, source: Mapping[str, Any]) -> list[Problem]:
    """Return all problems of the JSON of one schema file."""
    where = f"{event} v{version}"
    found = list(_record({key: value for key, value in source.items() if key != _CONTROL}, where))
    if source.get(_CONTROL, True) is not True:
        found.append(Problem(where, "control must be true, or left out"))
    namespace = source.get("namespace")
    if namespace != NAMESPACE and (_CONTROL in source or not _is_own_namespace(namespace)):
        own = "" if _CONTROL in source else ", or for events of your own one such as com.example.app"
        found.append(Problem(where, f'the namespace must be "{NAMESPACE}"{own}'))
    if re.sub(r"(?<!^)(?=[A-Z])", "_", str(source.get("name"))).lower() != event:
        found.append(Problem(where, "the record's name must be the folder's name in CamelCase"))
    names = tuple(field.get("name") for field in source.get("fields", []) if isinstance(field, Mapping))
    wanted = (*ENVELOPE_FIELDS, VERSION_FIELD)
    if names[: len(wanted)] != wanted:
        found.append(Problem(where, f"the first fields must be {', '.join(wanted)}"))
    if not found:
        found += consistency_problems(read_fields(source["fields"], where=event), where)
    return found


def _is_own_namespace(namespace: object) -> bool:
    if not isinstance(namespace, str) or namespace.startswith(f"{NAMESPACE}."):
        return False
    return len(namespace) <= _MAX_NAMESPACE_CHARACTERS and _NAMESPACE.fullmatch(namespace) is not None


def _record(source: Mapping[str, Any], where: str) -> Iterator[Problem]:
    yield from _unknown_keys(source, _RECORD_KEYS, where)
    yield from _texts(source, ("doc",), where)
    for field in source.get("fields", []):
        path = f"{where}: {field.get('name')}" if ": " not in where else f"{where}.{field.get('name')}"
        yield from _unknown_keys(field, _FIELD_KEYS, path)
        yield from _texts(field, ("doc", "purpose"), path)
        if type(field.get("disclosure", 1)) is not int or field.get("disclosure", 1) < 1:
            yield Problem(path, "disclosure must be a number from 1")
        elif field.get("disclosure", 1) > 1 and "default" not in field:
            yield Problem(path, "a field that was disclosed after the first release needs a default, until it is shown")
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
            if isinstance(declared.get("items"), list):
                yield Problem(f"{path}[]", "an item cannot be null")
            else:
                yield from _type(declared.get("items"), f"{path}[]")
        case "record":
            yield from _record(declared, path)


def _holds(declared: Mapping[str, Any], path: str, *, nullable: bool) -> Iterator[Problem]:
    holds = declared.get("holds")
    if holds is None:
        return
    if not isinstance(holds, str) or holds not in HOLDS:
        yield Problem(path, f"holds must be one of {', '.join(HOLDS)}")
    elif holds == "functionName" and not nullable:
        yield Problem(path, "a functionName must be nullable, as it may be withheld")
    elif holds == "nodeId" and not re.fullmatch(str(declared.get("pattern")), f"{OTHER_TYPE}_0"):
        yield Problem(path, f"the pattern of a nodeId must take {OTHER_TYPE}_0")


def _pattern(pattern: object, max_length: object, path: str) -> Iterator[Problem]:
    if not isinstance(pattern, str):
        return
    try:
        fits = parsed_pattern(pattern)
    except SchemaError as error:
        yield Problem(path, f"the pattern {error}")
        return
    for text in FORBIDDEN_TEXT:
        if fits.takes(text) and len(text) <= (max_length if isinstance(max_length, int) else 0):
            yield Problem(path, f"the pattern lets in text such as {text!r}")


def _texts(declared: Mapping[str, Any], keys: tuple[str, ...], path: str) -> Iterator[Problem]:
    for key in keys:
        if not declared.get(key):
            yield Problem(path, f"{key} is missing")
        elif not isinstance(declared[key], str):
            yield Problem(path, f"{key} must be a text")


def _unknown_keys(declared: Mapping[str, Any], known: set[str], path: str) -> Iterator[Problem]:
    for key in declared.keys() - known:
        yield Problem(path, f"unknown keyword {key}")
