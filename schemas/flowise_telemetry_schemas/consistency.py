"""Rules on the fields of a schema taken together: names, defaults, sizes, and patterns that every engine reads alike.

Each is about a schema that Avro takes and that some reader or sink does not: a field that is there twice makes decoders
raise, a default outside its bounds makes each older record a dead letter.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from flowise_telemetry_schemas.codec import MAX_VALUE_BYTES
from flowise_telemetry_schemas.constraints import INT_RANGE, LONG_RANGE, value_violations
from flowise_telemetry_schemas.errors import SchemaError
from flowise_telemetry_schemas.field import Field, all_fields
from flowise_telemetry_schemas.pattern import Pattern, text_beyond
from flowise_telemetry_schemas.problem import Problem

__all__ = ["MAX_STRING_CHARACTERS", "consistency_problems", "parsed_pattern", "type_problems"]

MAX_STRING_CHARACTERS = 128
"""The longest text of any field: a sentence whose words are joined does not become a story."""

MAX_ITEMS = 10_000
_MAX_SYMBOLS = 100
_TIMES_MS = (0, 7_258_118_399_999)  # 1970 to 2199: what every sink has a time for
_NAME = re.compile(r"[a-z][A-Za-z0-9]{0,39}")
_SYMBOL = re.compile(r"[A-Z][A-Z0-9_]{0,39}")
_TYPE_NAME = re.compile(r"[A-Z][A-Za-z0-9]{0,39}")
_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_UUID_CHARACTERS = 36
_RANGES = {"int": INT_RANGE, "long": LONG_RANGE, "timestamp": _TIMES_MS}


@functools.lru_cache(maxsize=256)
def parsed_pattern(text: str) -> Pattern:
    """Return the automaton of a pattern. Raises ``SchemaError`` that says what is wrong with it."""
    pattern = Pattern(text)
    pattern.check_ways()
    return pattern


def consistency_problems(fields: Sequence[Field], where: str) -> list[Problem]:
    """Return the problems of a schema's fields."""
    found = list(_record(fields, where))
    names = Counter(field.type_name for field in all_fields(fields) if field.type_name)
    found += [
        Problem(where, f"the type {name} is declared twice: give the second a name of its own")
        for name, times in names.items()
        if times > 1
    ]
    size = sum(map(_max_bytes, fields))
    if size > MAX_VALUE_BYTES:
        found.append(Problem(where, f"a record may take {size:,} bytes, over {MAX_VALUE_BYTES:,}: lower maxItems"))
    return found


def type_problems(schemas: Iterable[tuple[str, Sequence[Field]]]) -> Iterator[Problem]:
    """Yield a problem for each named type that two events declare differently: both have one class."""
    known: dict[str, tuple[str, object]] = {}
    for where, fields in schemas:
        for field in all_fields(fields):
            if field.type_name is None:
                continue
            first, shape = known.setdefault(field.type_name, (where, _shape(field)))
            if shape != _shape(field):
                yield Problem(where, f"the type {field.type_name} differs from that of {first}")


def _shape(field: Field) -> object:
    return (field.kind, field.symbols, field.other_symbol, [(inner.name, _shape(inner)) for inner in field.fields])


def _record(fields: Sequence[Field], where: str) -> Iterator[Problem]:
    if not fields:
        yield Problem(where, "a record needs a field")
    spellings = Counter(name for field in fields for name in {field.name, *field.aliases})
    columns = Counter(field.column for field in fields)
    for field in fields:
        path = f"{where}.{field.name}" if ": " in where else f"{where}: {field.name}"
        if not _NAME.fullmatch(field.name):
            yield Problem(path, "a field's name is camelCase, of at most 40 letters and digits")
        if any(spellings[name] > 1 for name in (field.name, *field.aliases)):
            yield Problem(path, "the name, or an alias, is that of another field too")
        elif columns[field.column] > 1:
            yield Problem(path, f"another field has the column {field.column} too")
        yield from _value(field, path)
        if field.has_default:
            yield from _default(field, path)


def _value(field: Field, path: str) -> Iterator[Problem]:
    match field.kind:
        case "string" | "uuid":
            yield from _text(field, path)
        case "int" | "long" | "timestamp":
            yield from _number(field, path)
        case "enum":
            yield from _enum(field, path)
        case "array" if field.items is not None:
            if not 1 <= (field.max_items or 0) <= MAX_ITEMS:
                yield Problem(path, f"maxItems is 1 to {MAX_ITEMS:,}")
            yield from _value(field.items, f"{path}[]")
        case "record":
            yield from _type_name(field, path)
            yield from _record(field.fields, path)


def _text(field: Field, path: str) -> Iterator[Problem]:
    max_length, pattern = field.max_length or 0, field.pattern or ""
    if not 1 <= max_length <= MAX_STRING_CHARACTERS:
        yield Problem(path, f"maxLength is 1 to {MAX_STRING_CHARACTERS}")
    try:
        parsed = parsed_pattern(pattern)
        if field.kind == "uuid" and pattern != _UUID and text_beyond(parsed, Pattern(_UUID), _UUID_CHARACTERS + 1):
            yield Problem(path, f"the pattern of a UUID takes nothing but UUIDs: {_UUID}")
    except SchemaError as error:
        yield Problem(path, f"the pattern {error}")
    if field.kind == "uuid" and max_length != _UUID_CHARACTERS:
        yield Problem(path, f"the maxLength of a UUID is {_UUID_CHARACTERS}")


def _number(field: Field, path: str) -> Iterator[Problem]:
    low, high = _RANGES[field.kind]
    if field.minimum is None or field.maximum is None:
        return  # told by the rules of its type
    if not low <= field.minimum <= field.maximum <= high:
        yield Problem(path, f"minimum and maximum of this {field.kind} are within {low} to {high}, in this order")


def _enum(field: Field, path: str) -> Iterator[Problem]:
    yield from _type_name(field, path)
    if not 1 <= len(field.symbols) <= _MAX_SYMBOLS or not all(map(_SYMBOL.fullmatch, field.symbols)):
        yield Problem(path, f"an enum has 1 to {_MAX_SYMBOLS} symbols in capital letters, digits and _")
    if len(set(field.symbols)) != len(field.symbols):
        yield Problem(path, "a symbol is there twice")
    if field.other_symbol is not None and field.other_symbol not in field.symbols:
        yield Problem(path, "the enum's own default is none of its symbols")


def _type_name(field: Field, path: str) -> Iterator[Problem]:
    if not _TYPE_NAME.fullmatch(field.type_name or ""):
        yield Problem(path, "a type's name is CamelCase, of at most 40 letters and digits")


def _default(field: Field, path: str) -> Iterator[Problem]:
    if field.kind in ("array", "record"):
        yield Problem(path, "an array or a record cannot have a default")
    elif field.nullable and field.default is not None:
        yield Problem(path, "the default of a field that may be null is null")
    else:
        for violation in value_violations(field, field.default):
            yield Problem(path, f"its default is outside its own bounds: it {violation.message}")


def _max_bytes(field: Field) -> int:
    """Return the most bytes that a value takes in Avro binary; the characters of a pattern take one byte each."""
    match field.kind:
        case "string" | "uuid":
            size = 2 + (field.max_length or 0)
        case "array" if field.items is not None:
            size = 6 + (field.max_items or 0) * _max_bytes(field.items)
        case "record":
            size = sum(map(_max_bytes, field.fields))
        case "enum" | "boolean":
            size = 1
        case "int":
            size = 5
        case _:
            size = 10
    return size + field.nullable
