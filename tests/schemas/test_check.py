from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from flowise_telemetry_schemas import catalog
from flowise_telemetry_schemas.check import FORBIDDEN_TEXT, problems, source_problems
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


INT: Source = {"type": "int", "minimum": 0, "maximum": 9}
TIME: Source = {"type": "long", "logicalType": "timestamp-millis", "minimum": 0, "maximum": 9}
NAME: Source = {"type": "string", "pattern": "^[a-z]{1,128}$", "maxLength": 128}
JOINED: Source = {"type": "string", "pattern": "^[a-z]{1,20}(_[a-z]{1,20}){0,99}$", "maxLength": 2_000}


def enum(**declared: Any) -> Source:
    return {"type": "enum", "name": "Letter", "doc": "d", "symbols": ["A", "B"]} | declared


def pair(of: Source) -> Source:
    field = {"name": "left", "type": of, "doc": "d", "purpose": "p", "classification": "count"}
    return {"type": "record", "name": "Pair", "doc": "d", "fields": [field]}


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
        (lambda s: name_type(s).update(pattern="^.*$"), "the pattern has"),
        (lambda s: name_type(s).update(pattern="^[^ ]+$"), "the pattern has"),
        (lambda s: name_type(s).update(pattern="^\\w+$"), "the pattern has"),
        (lambda s: name_type(s).update(pattern="[a-z]{1,9}"), "the pattern must begin with ^"),
        (lambda s: name_type(s).update(pattern="^([a-z]{1,9}$"), "the pattern has $ at character 13"),
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
        (add(type=INT, default=12), "extra: its default is outside its own bounds: it must be at most 9"),
        (add(type=INT, default="5"), "extra: its default is outside its own bounds: it must be an integer"),
        (add(type=INT, default=None), "extra: its default is outside its own bounds: it must be an integer"),
        (add(type=["null", INT], default=5), "extra: the default of a field that may be null is null"),
        (add(type=enum(default="C")), "extra: the enum's own default is none of its symbols"),
        (add(type=enum(), default="C"), "extra: its default is outside its own bounds: it must be one of A, B"),
        (add(type=enum(symbols=["A", "A"])), "extra: a symbol is there twice"),
        (add(type=enum(symbols=[])), "extra: an enum has 1 to 100 symbols"),
        (add(type=enum(symbols=["None"])), "extra: an enum has 1 to 100 symbols in capital letters"),
        (add(type={"type": "array", "items": INT, "maxItems": 3}, default=[]), "extra: an array or a record cannot"),
        (add(type={"type": "array", "items": INT, "maxItems": 0}), "extra: maxItems is 1 to 10,000"),
        (add(type={"type": "array", "items": ["null", INT], "maxItems": 3}), "extra[]: an item cannot be null"),
        (add(type={"type": "array", "items": NAME, "maxItems": 9_999}), "a record may take 1,3"),
        (add(type={"type": "record", "name": "Empty", "doc": "d", "fields": []}), "extra: a record needs a field"),
        (add(name="toolName", type=INT), "toolName: the name, or an alias, is that of another field too"),
        (add(type=INT, aliases=["toolName"]), "extra: the name, or an alias, is that of another field too"),
        (add(name="toolNAME", type=INT), "toolNAME: another field has the column tool_name too"),
        (add(name="Extra", type=INT), "Extra: a field's name is camelCase"),
        (add(name="extra_count", type=INT), "extra_count: a field's name is camelCase"),
        (add(type={"type": "array", "maxItems": 2, "items": pair(pair(INT))}), "the type Pair is declared twice"),
        (add(type=INT | {"minimum": 10}), "extra: minimum and maximum of this int are within"),
        (add(type=INT | {"maximum": 2**40}), "extra: minimum and maximum of this int are within"),
        (add(type=TIME | {"maximum": 2**62}), "extra: minimum and maximum of this timestamp are within"),
        (add(type=NAME | {"logicalType": "uuid"}), "extra: the pattern of a UUID takes nothing but UUIDs"),
        (add(type=JOINED), "extra: maxLength is 1 to 128"),
        (add(type=NAME | {"pattern": "^([a-z]{1,40}){1,40}$"}), "extra: the pattern matches one text in more than"),
        (add(type=NAME | {"pattern": "^A|B$"}), "extra: the pattern has | at character 3"),
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
