"""Changes from one version of an event to a later one, in words, and those that a released event cannot bear.

The compatibility is BACKWARD_TRANSITIVE: the newest version reads the records of every earlier one. So consumers are
upgraded before apps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flowise_telemetry_schemas.consistency import parsed_pattern
from flowise_telemetry_schemas.errors import SchemaError
from flowise_telemetry_schemas.event_schema import EventSchema
from flowise_telemetry_schemas.field import Field
from flowise_telemetry_schemas.pattern import text_beyond
from flowise_telemetry_schemas.problem import Problem

__all__ = ["Change", "changes", "evolution_problems"]


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a field, by its ``path``, in words. ``breaks`` says why it cannot be released; None if it can."""

    path: str
    message: str
    breaks: str | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def evolution_problems(earlier: Sequence[EventSchema], new: EventSchema) -> list[Problem]:
    """Return what keeps a version from reading the records of any earlier one, or a sink from keeping its columns.

    ``earlier`` are all earlier versions, in order.
    """
    where = f"{new.event} v{new.version}"
    *_, last = earlier
    if new.version != last.version + 1:
        return [Problem(where, f"the version after v{last.version} is v{last.version + 1}")]
    found: dict[tuple[str, str], Problem] = {}
    for old in reversed(earlier):
        for change in changes(old, new):
            if change.breaks is not None:
                path = f"{where}: {change.path}" if change.path else where
                message = f"{change.message} since v{old.version}: {change.breaks}"
                found.setdefault((change.path, change.breaks), Problem(path, message))
    return list(found.values())


def changes(old: EventSchema, new: EventSchema) -> list[Change]:
    """Return every change between two versions that readers, writers or people notice."""
    found = []
    if new.control != old.control:
        found.append(
            Change("", "it is another kind of record", "an event cannot become a control record, nor the reverse")
        )
    if new.doc != old.doc:
        found.append(Change("", f'it is described as "{new.doc}"'))
    return [*found, *_fields(old.fields, new.fields, "")]


def _fields(old: Sequence[Field], new: Sequence[Field], prefix: str) -> Iterator[Change]:
    before = {field.name: field for field in old}
    after = {field.name: field for field in new}
    for name in before.keys() - after.keys():
        yield Change(prefix + name, "removed", "a released field cannot be removed")
    for name, field in after.items():
        if name in before:
            yield from _field(before[name], field, prefix + name)
        else:
            yield _added(field, prefix + name)


def _added(field: Field, path: str) -> Change:
    if not field.has_default:
        return Change(path, "added without a default", "a new field needs a default, for older records")
    if field.default is None and field.nullable:
        return Change(path, "added; null in older records")
    if field.kind == "enum" and field.default == field.other_symbol:
        return Change(path, f"added; {field.default} in older records")
    return Change(
        path,
        "added with a default that looks like a value",
        "a new field's default is null, or the default of its enum's type: it stands for what nobody told",
    )


def _field(old: Field, new: Field, path: str) -> Iterator[Change]:
    for alias in set(old.aliases) - set(new.aliases):
        yield Change(path, f"loses its alias {alias}", "what was written with an alias must stay readable")
    for alias in set(new.aliases) - set(old.aliases):
        yield Change(path, f"may be called {alias} too")
    if (old.has_default, old.default) != (new.has_default, new.default):
        breaks = "rows of older records would differ between a sink and its replay" if old.has_default else None
        yield Change(path, "its default changed", breaks)
    for word, before, after in (
        ("doc", old.doc, new.doc),
        ("purpose", old.purpose, new.purpose),
        ("classification", old.classification, new.classification),
    ):
        if before != after:
            yield Change(path, f'{word}: "{before}" is now "{after}"')
    yield from _type(old, new, path)


def _type(old: Field, new: Field, path: str) -> Iterator[Change]:
    if (old.kind, old.type_name) != (new.kind, new.type_name):
        before, after = (" ".join(filter(None, (field.kind, field.type_name))) for field in (old, new))
        yield Change(path, f"was {before} and is {after}", f"its type changed from {before} to {after}")
        return
    if old.nullable and not new.nullable:
        yield Change(path, "can no longer be null", "null was allowed and must stay allowed")
    elif new.nullable and not old.nullable:
        yield Change(path, "may be null")
    match new.kind:
        case "enum":
            yield from _symbols(old, new, path)
        case "string" | "uuid":
            yield from _bound(path, "maxLength", old.max_length, new.max_length)
            yield from _pattern(old, new, path)
        case "int" | "long" | "timestamp":
            yield from _bound(path, "minimum", old.minimum, new.minimum, is_lower=True)
            yield from _bound(path, "maximum", old.maximum, new.maximum)
        case "record":
            yield from _fields(old.fields, new.fields, f"{path}.")
        case "array" if old.items is not None and new.items is not None:
            yield from _bound(path, "maxItems", old.max_items, new.max_items)
            yield from _items(old.items, new.items, path)


def _items(old: Field, new: Field, path: str) -> Iterator[Change]:
    if old.kind == new.kind == "record" and old.type_name == new.type_name:
        yield from _fields(old.fields, new.fields, f"{path}[].")
    else:
        yield from _type(old, new, f"{path}[]")


def _symbols(old: Field, new: Field, path: str) -> Iterator[Change]:
    if new.symbols[: len(old.symbols)] != old.symbols:
        yield Change(path, "its symbols were removed or moved", "symbols may only be added, at the end")
    elif new.symbols != old.symbols:
        yield Change(path, f"may be {', '.join(new.symbols[len(old.symbols) :])} too")
    if old.other_symbol != new.other_symbol:
        breaks = None if old.other_symbol is None else "an enum's own default stands for what apps already send"
        yield Change(path, f"what it does not list is {new.other_symbol or 'refused'}", breaks)


def _bound(path: str, word: str, old: int | None, new: int | None, *, is_lower: bool = False) -> Iterator[Change]:
    if old == new:
        return
    narrower = new is not None and (old is None or (new > old if is_lower else new < old))
    breaks = f"a narrower {word} makes valid older records dead letters" if narrower else None
    yield Change(path, f"{word} was {old} and is {new}", breaks)


def _pattern(old: Field, new: Field, path: str) -> Iterator[Change]:
    if old.pattern == new.pattern:
        return
    try:
        beyond = text_beyond(parsed_pattern(old.pattern or ""), parsed_pattern(new.pattern or ""), old.max_length or 0)
    except SchemaError as error:
        yield Change(path, "its pattern changed", f"whether it became narrower cannot be told: {error}")
        return
    if beyond is None:
        yield Change(path, f"its pattern takes more: {new.pattern}")
    else:
        example = beyond or "the empty text"
        yield Change(
            path,
            f"its pattern no longer takes {example}",
            "a narrower pattern makes valid older records dead letters",
        )
