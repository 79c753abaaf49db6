"""Schemas that nobody wrote, and records of any schema, for properties that hold for all of them."""

from __future__ import annotations

import copy
import functools
from typing import Any

from hypothesis import strategies as st

from flowise_telemetry_schemas import EventSchema, Field, catalog
from flowise_telemetry_schemas.constraints import INT_RANGE, LONG_RANGE

__all__ = ["later_versions", "records_of", "sources"]

Source = dict[str, Any]
_ABOUT = {"doc": "d", "purpose": "p", "classification": "count"}
_PATTERNS = (
    "^[a-z]{1,4}$",
    "^[a-z]{1,3}(_[a-z0-9]{1,2}){0,2}$",
    "^(on|off|[0-9]{1,2})$",
    "^[A-Z0-9_-]{1,6}$",
    "^[0-9]{1,2}(\\.[0-9]{1,2})?$",
)
_WIDER = {"^[a-z]{1,4}$": "^[a-z0-9]{1,5}$", "^[A-Z0-9_-]{1,6}$": "^[A-Za-z0-9_-]{1,6}$"}
_NARROWER = {"^[a-z]{1,4}$": "^[a-y]{1,4}$", "^(on|off|[0-9]{1,2})$": "^(on|off|[0-9])$"}

_strings = st.builds(
    lambda pattern, length: {"type": "string", "pattern": pattern, "maxLength": length},
    st.sampled_from(_PATTERNS),
    st.integers(4, 9),
)
_numbers = st.builds(
    lambda kind, low, span: {"type": kind, "minimum": low, "maximum": low + span},
    st.sampled_from(["int", "long"]),
    st.integers(-3, 3),
    st.integers(0, 200),
)
_times = st.just({"type": "long", "logicalType": "timestamp-millis", "minimum": 0, "maximum": 4_102_444_799_999})
_primitives = _strings | _numbers | _times | st.just({"type": "boolean"})
_enums = st.builds(
    lambda symbols: {"type": "enum", "doc": "d", "symbols": [*symbols, "OTHER"], "default": "OTHER"},
    st.lists(st.sampled_from("ABCDE"), max_size=3, unique=True),
)
_types = st.recursive(
    _primitives | _enums,
    lambda inner: (
        st.builds(lambda items, most: {"type": "array", "items": items, "maxItems": most}, inner, st.integers(1, 3))
        | st.lists(inner, min_size=1, max_size=3).map(lambda types: {"type": "record", "doc": "d", "types": types})
    ),
    max_leaves=6,
)


@st.composite
def sources(draw: st.DrawFn) -> Source:
    """The JSON of the first version of an event ``made_up``."""
    types: list[Any] = draw(st.lists(_types, min_size=1, max_size=4))
    fields = []
    for number, declared in enumerate(types):
        optional = declared["type"] in {"string", "int", "long", "boolean"} and draw(st.booleans())
        named = _named(declared, f"F{number}")
        extra = {"default": None} if optional else {}
        fields.append({"name": f"field{number}", "type": ["null", named] if optional else named} | _ABOUT | extra)
    envelope = copy.deepcopy(catalog().get("tool_created", 1).source["fields"][:6])
    fields = [*envelope, *fields]
    return {"type": "record", "name": "MadeUp", "namespace": "flowise.telemetry", "doc": "d", "fields": fields}


def _named(declared: Source, name: str) -> Source:
    """The type with a name of its own, and its fields named."""
    match declared["type"]:
        case "enum":
            return {**declared, "name": name}
        case "array":
            return {**declared, "items": _named(declared["items"], f"{name}Item")}
        case "record":
            parts = [
                {"name": f"part{at}", "type": _named(part, f"{name}Part{at}")} | _ABOUT
                for at, part in enumerate(declared["types"])
            ]
            return {"type": "record", "name": name, "doc": "d", "fields": parts}
        case _:
            return declared


@st.composite
def later_versions(draw: st.DrawFn, source: Source) -> Source:
    """A next version of the event: some of them read all older records, some do not."""
    later = copy.deepcopy(source)
    own = later["fields"][6:]
    for field in own:
        if draw(st.booleans()):
            _change(field["type"], draw(st.sampled_from([1, 1, 1, -1])))
    if draw(st.booleans()):
        enum = _named(draw(_enums), "Added")
        later["fields"].append({"name": "addedKind", "type": enum, "default": "OTHER"} | _ABOUT)
    if draw(st.booleans()):
        default = draw(st.sampled_from([None, None, None, 5]))
        added = draw(_primitives)
        later["fields"].append({"name": "addedValue", "type": ["null", added], "default": default} | _ABOUT)
    return later


def _change(declared: Any, by: int) -> None:
    """Widen the bounds of a type, or narrow them."""
    if isinstance(declared, list):
        declared = declared[1]
    match declared["type"]:
        case "string":
            declared["pattern"] = (_WIDER if by > 0 else _NARROWER).get(declared["pattern"], declared["pattern"])
            declared["maxLength"] += by
        case "int" | "long" if "logicalType" not in declared:
            declared["minimum"] = min(declared["minimum"] - by, declared["maximum"])
        case "enum" if by > 0:
            declared["symbols"].append("MORE")
        case "array":
            _change(declared["items"], by)
        case "record":
            for field in declared["fields"]:
                _change(field["type"], by)


def records_of(schema: EventSchema) -> st.SearchStrategy[dict[str, Any]]:
    """Records that keep every rule of a schema."""
    return st.fixed_dictionaries({field.name: _values(field) for field in schema.fields})


def _values(field: Field) -> st.SearchStrategy[Any]:
    return st.none() | _plain(field) if field.nullable else _plain(field)


def _plain(field: Field) -> st.SearchStrategy[Any]:
    match field.kind:
        case "string" | "uuid":
            return _texts(field.pattern or "", field.max_length or 0)
        case "enum":
            return st.sampled_from(field.symbols)
        case "boolean":
            return st.booleans()
        case "array" if field.items is not None:
            return st.lists(_values(field.items), max_size=min(field.max_items or 0, 4))
        case "record":
            return st.fixed_dictionaries({inner.name: _values(inner) for inner in field.fields})
    low, high = INT_RANGE if field.kind == "int" else LONG_RANGE
    return st.integers(
        low if field.minimum is None else field.minimum, high if field.maximum is None else field.maximum
    )


@functools.cache
def _texts(pattern: str, max_length: int) -> st.SearchStrategy[str]:
    return st.from_regex(pattern.removeprefix("^").removesuffix("$"), fullmatch=True).filter(
        lambda text: len(text) <= max_length
    )
