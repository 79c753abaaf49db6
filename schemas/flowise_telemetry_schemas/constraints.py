"""Checks of a record against its schema: the types and bounds of every field, down to the last node id.

The same declarations in the ``.avsc`` files are checked where events are made and again where they are consumed. Types
are strict where Avro writers are lenient: a bool is not an int, a number is not a string, an unknown field is an error.
A message names the field and the rule, never the value.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flowise_telemetry_schemas.envelope import ENVELOPE_FIELDS, VERSION_FIELD
from flowise_telemetry_schemas.errors import ValidationError
from flowise_telemetry_schemas.event_schema import EventSchema
from flowise_telemetry_schemas.field import Field

__all__ = [
    "INT_RANGE",
    "LONG_RANGE",
    "Violation",
    "as_error",
    "properties_violations",
    "validate",
    "value_violations",
    "violations",
]

INT_RANGE = (-(2**31), 2**31 - 1)
LONG_RANGE = (-(2**63), 2**63 - 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HINTS = 3  # a document may have any number of names
_HINT_CHARACTERS = 64
_MAX_KNOWN = 4_096


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: ``field`` is a path such as ``flowGraph.edges[3].source``, ``rule`` the schema's keyword."""

    field: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


_Check = Callable[[Any], list[Violation]]
_OK: list[Violation] = []


def violations(schema: EventSchema, record: object) -> list[Violation]:
    """Return every rule that a record in wire form breaks; none if it may be sent."""
    return _schema_check(schema)(record)


def validate(schema: EventSchema, record: object) -> None:
    """Raise ``ValidationError`` for the first rule that a record breaks; its message counts the others."""
    found = violations(schema, record)
    if found:
        raise as_error(schema.event, found)


def properties_violations(schema: EventSchema, properties: object) -> list[Violation]:
    """Return the rules broken by a record without its envelope; the app's version may be missing too."""
    return _properties_check(schema)(properties)


def value_violations(field: Field, value: object) -> list[Violation]:
    """Return the rules of a field that a value of it breaks."""
    return _check_of(field)(value)


def as_error(event: str | None, found: list[Violation]) -> ValidationError:
    """Return the error for a list of violations: it tells the first, and counts the others."""
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return ValidationError(f"{found[0]}{more}", event=event, field=found[0].field, rule=found[0].rule)


def _at(path: str, found: list[Violation]) -> list[Violation]:
    """Prefix the fields of violations with a path. A valid record has none and costs nothing."""
    if not found:
        return found
    return [
        Violation(
            path + ("" if not item.field or item.field[0] == "[" else ".") + item.field,
            item.rule,
            item.message,
        )
        for item in found
    ]


@functools.cache
def _schema_check(schema: EventSchema) -> _Check:
    return _record_check(schema.fields)


@functools.cache
def _properties_check(schema: EventSchema) -> _Check:
    own = tuple(field for field in schema.fields if field.name not in ENVELOPE_FIELDS)
    return _record_check(own, also_optional={VERSION_FIELD})


def _record_check(fields: tuple[Field, ...], also_optional: Set[str] = frozenset()) -> _Check:
    checks = {field.name: _check_of(field) for field in fields}
    optional = also_optional | {field.name for field in fields if field.has_default}

    def check(value: Any) -> list[Violation]:
        if type(value) is not dict and not isinstance(value, Mapping):  # the first costs a tenth of the other
            return [Violation("", "type", "must be a record")]
        found: list[Violation] = []
        known = 0
        for name, check_field in checks.items():
            if name in value:
                known += 1
                broken = check_field(value[name])
                if broken:
                    found += _at(name, broken)
            elif name not in optional:
                found.append(Violation(name, "required", "is missing"))
        if len(value) > known:
            found += _unknown((name for name in value if name not in checks), checks)
        return found

    return check


def _unknown(names: Iterable[object], known: Collection[str]) -> Iterator[Violation]:
    """Name the fields that no schema has; a name that is none of ours is input too, and may itself be a secret."""
    for number, name in enumerate(names):
        spoken = name if isinstance(name, str) and name in ENVELOPE_FIELDS else "(a name of no field)"
        close: list[str] = []
        if number < _HINTS and isinstance(name, str) and len(name) <= _HINT_CHARACTERS:
            close = difflib.get_close_matches(name, known, 1)
        hint = f": did you mean {close[0]}?" if close else ""
        yield Violation(spoken, "unknown", f"is not a field of the schema{hint}")


def _check_of(field: Field) -> _Check:
    check = _CHECKS[field.kind](field)
    if not field.nullable:
        return check
    return lambda value: _OK if value is None else check(value)


def _string_check(field: Field) -> _Check:
    # The schema check requires both bounds; without them nothing matches.
    pattern, max_length = field.pattern or "$^", field.max_length or 0
    match = re.compile(pattern).fullmatch
    known: set[str] = set()  # node ids that match: the same few are in nearly every flow
    keeps = field.holds == "nodeId"
    wrong_type = [Violation("", "type", "must be a string")]
    too_long = [Violation("", "maxLength", f"must have at most {max_length} characters")]
    mismatch = [Violation("", "pattern", f"must match {pattern}")]

    def check(value: Any) -> list[Violation]:
        if type(value) is not str:
            return wrong_type
        if value in known:
            return _OK
        if len(value) > max_length:
            return too_long
        if not match(value):
            return mismatch
        if keeps:
            if len(known) >= _MAX_KNOWN:
                known.clear()
            known.add(value)
        return _OK

    return check


def _enum_check(field: Field) -> _Check:
    symbols = frozenset(field.symbols)
    mismatch = [Violation("", "enum", f"must be one of {', '.join(field.symbols)}")]
    return lambda value: _OK if isinstance(value, str) and value in symbols else mismatch


def _integer_check(field: Field) -> _Check:
    low, high = INT_RANGE if field.kind == "int" else LONG_RANGE
    minimum = low if field.minimum is None else field.minimum
    maximum = high if field.maximum is None else field.maximum
    wrong_type = [Violation("", "type", "must be an integer")]
    too_small = [Violation("", "minimum", f"must be at least {minimum}{_as_time(field, field.minimum)}")]
    too_large = [Violation("", "maximum", f"must be at most {maximum}{_as_time(field, field.maximum)}")]

    def check(value: Any) -> list[Violation]:
        if type(value) is not int:
            return wrong_type
        if value < minimum:
            return too_small
        return _OK if value <= maximum else too_large

    return check


def _as_time(field: Field, bound: int | None) -> str:
    """Return what the bound of a timestamp means to people, for the end of a message."""
    if field.kind != "timestamp" or bound is None:
        return ""
    moment = _EPOCH + timedelta(milliseconds=bound)
    return f" ({moment.isoformat(timespec='milliseconds').removesuffix('+00:00')}Z)"


def _boolean_check(field: Field) -> _Check:
    wrong_type = [Violation("", "type", "must be true or false")]
    return lambda value: _OK if type(value) is bool else wrong_type


def _array_check(field: Field) -> _Check:
    assert field.items is not None  # noqa: S101 - read_fields gives every array its items
    check_item, max_items = _check_of(field.items), field.max_items or 0
    wrong_type = [Violation("", "type", "must be an array")]
    too_many = [Violation("", "maxItems", f"must have at most {max_items} items")]

    def check(value: Any) -> list[Violation]:
        if not isinstance(value, list):
            return wrong_type
        if len(value) > max_items:
            return too_many
        found: list[Violation] = []
        for index, item in enumerate(value):
            broken = check_item(item)
            if broken:
                found += _at(f"[{index}]", broken)
        return found

    return check


_CHECKS: dict[str, Callable[[Field], _Check]] = {
    "string": _string_check,
    "uuid": _string_check,
    "enum": _enum_check,
    "int": _integer_check,
    "long": _integer_check,
    "timestamp": _integer_check,
    "boolean": _boolean_check,
    "array": _array_check,
    "record": lambda field: _record_check(field.fields),
}
