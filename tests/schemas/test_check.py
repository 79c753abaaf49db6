from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from flowise_telemetry_schemas import EventSchema, catalog
from flowise_telemetry_schemas.check import FORBIDDEN_TEXT, evolution_problems, problems, source_problems
from flowise_telemetry_schemas.constraints import violations
from tests.schemas.records import EVENTS, record_of

Source = dict[str, Any]
TOOL = catalog().get("tool_created", 1)


def changed(change: Callable[[Source], object]) -> Source:
    source: Source = copy.deepcopy(dict(TOOL.source))
    change(source)
    return source


def field(source: Source, name: str) -> Source:
    found: Source = next(field for field in source["fields"] if field["name"] == name)
    return found


def name_type(source: Source) -> Source:
    found: Source = field(source, "toolName")["type"][1]
    return found


def test_the_released_schemas_have_no_problem() -> None:
    assert problems(catalog()) == []


def add(**declared: Any) -> Callable[[Source], object]:
    documented = {"name": "extra", "doc": "d", "purpose": "p", "classification": "count"} | declared
    return lambda source: source["fields"].append(documented)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: name_type(s).pop("pattern"), "toolName: a string needs pattern"),
        (lambda s: name_type(s).pop("maxLength"), "toolName: a string needs maxLength"),
        (lambda s: field(s, "toolName").update(type="string"), "toolName: a string needs pattern"),
        (lambda s: name_type(s).update(maxLenght=3), "toolName: unknown keyword maxLenght"),
        (lambda s: field(s, "toolName").update(purpos="x"), "toolName: unknown keyword purpos"),
        (lambda s: field(s, "toolName").pop("purpose"), "toolName: purpose is missing"),
        (lambda s: field(s, "toolName").update(doc=""), "toolName: doc is missing"),
        (lambda s: field(s, "toolName").update(classification="pii"), "classification must be one of"),
        (lambda s: name_type(s).update(pattern="^.*$"), "the pattern must be"),
        (lambda s: name_type(s).update(pattern="^[^ ]+$"), "the pattern must be"),
        (lambda s: name_type(s).update(pattern="^\\w+$"), "the pattern must be"),
        (lambda s: name_type(s).update(pattern="[a-z]{1,9}"), "the pattern must be"),
        (lambda s: name_type(s).update(pattern="^([a-z]{1,9}$"), "not a regular expression"),
        (lambda s: name_type(s).update(pattern="^[A-Za-z0-9-]{0,64}$"), "the pattern lets in text such as"),
        (add(type={"type": "map", "values": "int"}), "extra: the type must be one of"),
        (add(type="bytes"), "extra: the type must be one of"),
        (add(type={"type": "fixed", "name": "F", "size": 16}), "extra: the type must be one of"),
        (add(type="double"), "extra: the type must be one of"),
        (add(type="ToolCreated"), "extra: the type must be one of"),
        (add(type={"type": "array", "items": "ToolCreated", "maxItems": 3}), "extra[]: the type must be one of"),
        (add(type={"type": "array", "items": {"type": "boolean"}}), "extra: a array needs maxItems"),
        (add(type={"type": "array", "items": "null", "maxItems": 3}), "extra[]: the type must be one of"),
        (add(type=["null", "string", "int"]), "extra: a union may hold null and one primitive"),
        (add(type=["string", "null"]), "extra: a union may hold null and one primitive, in this order"),
        (add(type=["null", {"type": "enum", "name": "E", "symbols": ["A"]}]), "extra: a union may hold"),
        (add(type="long"), "extra: a long needs minimum"),
        (add(type={"type": "int", "logicalType": "date", "minimum": 0, "maximum": 1}), "unknown keyword logicalType"),
        (lambda s: s.update(name="Tool"), "the record's name must be the folder's name"),
        (lambda s: s.update(namespace="other"), "the namespace must be"),
        (lambda s: s["fields"].reverse(), "the first fields must be"),
    ],
)
def test_a_broken_rule_is_reported(change: Callable[[Source], object], message: str) -> None:
    found = [str(problem) for problem in source_problems("tool_created", 1, changed(change))]
    assert any(message in problem for problem in found), found


def test_no_string_of_any_event_takes_forbidden_text() -> None:
    for event in EVENTS:
        schema = catalog().latest(event.EVENT)
        record = record_of(event)
        for name, value in record.items():
            if isinstance(value, str):
                for text in FORBIDDEN_TEXT:
                    assert violations(schema, record | {name: text}), (event.EVENT, name, text)


def later(change: Callable[[Source], object], version: int = 2) -> list[str]:
    new = EventSchema.read("tool_created", version, changed(change))
    return [str(problem) for problem in evolution_problems(TOOL, new)]


BOOLEAN: Source = {"type": "boolean", "classification": "count"}


def test_a_later_version_may_add_a_field_with_a_default() -> None:
    assert later(add(**BOOLEAN, default=False)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (add(**BOOLEAN), "extra: a new field needs a default"),
        (lambda s: s["fields"].pop(), "toolName: a released field cannot be removed"),
        (lambda s: field(s, "sequence").update(type="int"), "sequence: its type changed from long to int"),
    ],
)
def test_a_breaking_change_is_reported(change: Callable[[Source], object], message: str) -> None:
    found = later(change)
    assert any(message in problem for problem in found), found


def test_versions_are_counted_without_gaps() -> None:
    assert later(add(**BOOLEAN, default=False), version=3) == ["tool_created v3: the version after v1 is v2"]
