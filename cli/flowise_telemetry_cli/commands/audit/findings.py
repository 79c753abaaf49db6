"""Results of an audit: the calls that send events, and findings to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flowise_telemetry_schemas.catalog import Catalog
from flowise_telemetry_schemas.envelope import VERSION_FIELD
from flowise_telemetry_schemas.errors import SchemaError
from flowise_telemetry_schemas.event_schema import EventSchema

__all__ = ["Call", "Finding", "Report", "check_properties"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that needs a look.

    ``kind``: undetermined, unknown_event, unknown_property, missing_property, alias, raw_client or unreadable.
    """

    file: Path
    line: int
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Call:
    """One place where an event is sent.

    ``event`` is None if it cannot be determined. ``fields``: each property by its name on the wire, with the text of
    the expression that fills it.
    """

    file: Path
    line: int
    event: str | None
    fields: Mapping[str, str]


@dataclass(slots=True)
class Report:
    """Everything found in the files that were read."""

    files: int = 0
    calls: list[Call] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def check_properties(call: Call, schemas: Catalog, *, complete: bool) -> Iterator[Finding]:
    """Yield the findings about a call's properties. ``complete``: ``fields`` has all of them."""
    if call.event is None:
        return
    try:
        schema = schemas.latest(call.event)
    except SchemaError as error:
        yield Finding(call.file, call.line, "unknown_event", f"{call.event}: {error}")
        return
    own = schema.fields[schema.fields.index(_version(schema)) :]
    names = {name: each.name for each in own for name in (each.name, *each.aliases)}
    for name in call.fields:
        if name not in names:
            message = f"{call.event}: no schema names {name}"
            yield Finding(call.file, call.line, "unknown_property", message)
        elif name != names[name]:
            message = f"{call.event}: {name} is an alias of {names[name]}"
            yield Finding(call.file, call.line, "alias", message)
    if not complete:
        return
    given = {names.get(name) for name in call.fields}
    for each in own:
        if each.name not in given and not each.has_default and each.name != VERSION_FIELD:
            yield Finding(call.file, call.line, "missing_property", f"{call.event}: {each.name} is not given")


def _version(schema: EventSchema) -> object:
    return next(each for each in schema.fields if each.name == VERSION_FIELD)
