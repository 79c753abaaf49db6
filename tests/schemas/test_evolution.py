from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from flowise_telemetry_schemas import EventSchema, catalog
from flowise_telemetry_schemas.evolution import changes, evolution_problems

Source = dict[str, Any]
Change = Callable[[Source], object]

INT: Source = {"type": "int", "minimum": 0, "maximum": 9}
LIST: Source = {"type": "array", "maxItems": 5, "items": INT}
LETTER: Source = {"type": "enum", "name": "Letter", "doc": "d", "symbols": ["A", "OTHER"], "default": "OTHER"}
PAIR: Source = {
    "type": "record",
    "name": "Pair",
    "doc": "d",
    "fields": [{"name": "left", "type": INT, "doc": "d", "purpose": "p", "classification": "count"}],
}


def field(source: Source, name: str) -> Source:
    found: Source = next(field for field in source["fields"] if field["name"] == name)
    return found


def add(name: str = "extra", **declared: Any) -> Change:
    documented = {"name": name, "doc": "d", "purpose": "p", "classification": "count"} | copy.deepcopy(declared)
    return lambda source: source["fields"].append(documented)


def drop(name: str) -> Change:
    return lambda source: source["fields"].remove(field(source, name))


def retype(name: str, /, **declared: Any) -> Change:
    return lambda source: field(source, name)["type"].update(declared)


def versions(*steps: Change) -> list[EventSchema]:
    """tool_created with a field of each kind as v1, and one version more for each change."""
    source: Source = copy.deepcopy(dict(catalog().get("tool_created", 1).source))
    for name, declared in (("count", INT), ("letter", LETTER), ("list", LIST), ("pair", PAIR)):
        add(name, type=declared)(source)
    add("label", type={"type": "string", "pattern": "^[a-z]{1,9}$", "maxLength": 9}, aliases=["tag"])(source)
    add("maybe", type=["null", INT], default=None)(source)
    made = [EventSchema.read("tool_created", 1, copy.deepcopy(source))]
    for number, step in enumerate(steps, start=2):
        step(source)
        made.append(EventSchema.read("tool_created", number, copy.deepcopy(source)))
    return made


def found(*steps: Change) -> list[str]:
    *earlier, new = versions(*steps)
    return [str(problem) for problem in evolution_problems(earlier, new)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (add(type=["null", INT], default=None), "extra: added; null in older records"),
        (add(type=LETTER | {"name": "More"}, default="OTHER"), "extra: added; OTHER in older records"),
        (retype("letter", symbols=["A", "OTHER", "B"]), "letter: may be B too"),
        (retype("count", minimum=-1), "count: minimum was 0 and is -1"),
        (retype("count", maximum=10), "count: maximum was 9 and is 10"),
        (retype("list", maxItems=6), "list: maxItems was 5 and is 6"),
        (retype("label", pattern="^[a-z0-9]{1,9}$"), "label: its pattern takes more: ^[a-z0-9]{1,9}$"),
        (lambda s: field(s, "count").update(type=["null", INT]), "count: may be null"),
        (lambda s: field(s, "count").update(aliases=["number"]), "count: may be called number too"),
        (lambda s: field(s, "count").update(doc="e"), 'count: doc: "d" is now "e"'),
    ],
)
def test_a_change_that_every_reader_bears_is_told_and_allowed(change: Change, words: str) -> None:
    assert [str(made) for made in changes(*versions(change))] == [words]
    assert found(change) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (add(type=INT), "extra: added without a default since v1: a new field needs a default"),
        (add(type=INT, default=3), "extra: added with a default that looks like a value"),
        (add(type=LETTER | {"name": "More"}, default="A"), "extra: added with a default that looks like a value"),
        (add(type="boolean", default=False), "extra: added with a default that looks like a value"),
        (drop("toolName"), "toolName: removed since v1: a released field cannot be removed"),
        (lambda s: field(s, "count").update(type="long"), "count: was int and is long"),
        (lambda s: field(s, "maybe").update(type=INT, default=0), "maybe: can no longer be null"),
        (lambda s: field(s, "maybe").pop("default"), "maybe: its default changed"),
        (lambda s: field(s, "label").pop("aliases"), "label: loses its alias tag"),
        (retype("letter", symbols=["OTHER"]), "letter: its symbols were removed or moved"),
        (retype("letter", symbols=["OTHER", "A"]), "letter: its symbols were removed or moved"),
        (retype("letter", default="A"), "letter: what it does not list is A"),
        (retype("letter", name="Letters"), "letter: was enum Letter and is enum Letters"),
        (retype("label", pattern="^[a-y]{1,9}$"), "label: its pattern no longer takes z"),
        (retype("label", pattern="^[a-z]{2,9}$"), "label: its pattern no longer takes a since"),
        (retype("label", maxLength=8), "label: maxLength was 9 and is 8 since v1: a narrower maxLength makes"),
        (retype("count", minimum=1), "count: minimum was 0 and is 1"),
        (retype("count", maximum=8), "count: maximum was 9 and is 8"),
        (retype("list", maxItems=4), "list: maxItems was 5 and is 4"),
        (retype("list", items=INT | {"maximum": 8}), "list[]: maximum was 9 and is 8"),
        (lambda s: field(s, "pair")["type"]["fields"].clear(), "pair.left: removed"),
        (lambda s: s.update(control=True), "it is another kind of record since v1: an event cannot become a control"),
    ],
)
def test_a_change_that_costs_older_records_is_refused(change: Change, message: str) -> None:
    problems = found(change)
    assert any(message in problem for problem in problems), problems


def test_a_version_is_compared_with_every_earlier_one() -> None:
    widened, narrowed = retype("count", maximum=20), retype("count", maximum=15)
    assert found(widened, narrowed) == [
        "tool_created v3: count: maximum was 20 and is 15 since v2: a narrower maximum makes valid older records dead"
        " letters"
    ]
    # Were v2 alone looked at, a field that it dropped by mistake could come back with any type.
    again = add("toolName", type=["null", INT], default=None)
    assert any("toolName: was string and is int since v1" in problem for problem in found(drop("toolName"), again))


def test_versions_are_counted_without_gaps() -> None:
    first, _, third = versions(
        add("one", type=["null", INT], default=None), add("two", type=["null", INT], default=None)
    )
    assert [str(problem) for problem in evolution_problems([first], third)] == [
        "tool_created v3: the version after v1 is v2"
    ]
