"""The disclosure document: each field that is collected and why, in words for the users of the app."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from flowise_telemetry_schemas.catalog import Catalog, EventSchema
from flowise_telemetry_schemas.envelope import ENVELOPE_FIELDS
from flowise_telemetry_schemas.errors import SchemaError
from flowise_telemetry_schemas.field import Field
from flowise_telemetry_schemas.terms import terms_of

__all__ = ["bound", "disclosure", "flatten"]

_HEAD = """# What is collected

Generated from the schemas by `make generate`. This is the whole list: a record with any other field is refused where it
is made, and again where it is received.

Turn it off with `DISABLE_FLOWISE_TELEMETRY=true` or `DO_NOT_TRACK=1`. See what would be sent with
`flowise-telemetry preview`.

"""


def disclosure(schemas: Catalog) -> str:
    """Return the text of ``docs/TELEMETRY.md``."""
    first = schemas.latest(schemas.events[0])
    parts = [
        _HEAD,
        "## In every event\n\n",
        *_table(field for field in first.fields if field.name in ENVELOPE_FIELDS),
    ]
    for event in schemas.events:
        schema = schemas.latest(event)
        own = (field for field in schema.fields if field.name not in ENVELOPE_FIELDS)
        parts += [_heading(schemas, schema), *_table(own)]
    for name in schemas.names:
        if name not in schemas.events:
            schema = schemas.latest(name)
            parts += [_heading(schemas, schema), *_table(iter(schema.fields))]
    return "".join(parts)


def _heading(schemas: Catalog, schema: EventSchema) -> str:
    text = f"\n## {schema.event}\n\n{schema.doc} Schema version {schema.version}.\n\n"
    with contextlib.suppress(SchemaError):  # without terms; the check tells
        terms = terms_of(schemas, schema.event)
        text += f"Asked: **{terms.question}** Ends with {terms.end}. [More](events/{schema.event}.md)\n\n"
    return text


def flatten(field: Field, prefix: str = "") -> Iterator[tuple[str, Field]]:
    """Yield a field and all below it by path: ``flowGraph``, ``flowGraph.edges``, ``flowGraph.edges[].source``."""
    path = prefix + field.name
    yield path, field
    inner, inner_path = field, path
    while inner.items is not None:
        inner, inner_path = inner.items, inner_path + "[]"
    for below in inner.fields:
        yield from flatten(below, f"{inner_path}.")


def bound(field: Field) -> str:
    """Describe the values that fit into a field, in a few words."""
    inner = field.items if field.items is not None and not field.items.fields else None
    match field.kind:
        case "array":
            each = f", each {bound(inner)}" if inner else ""
            text = f"at most {field.max_items} items{each}"
        case "enum":
            *others, last = field.symbols
            text = f"{', '.join(others)} or {last}" if others else last
        case "string" | "uuid":
            text = f"`{field.pattern}`, at most {field.max_length} characters"
        case "int" | "long" | "timestamp":
            text = f"{field.minimum} to {field.maximum}"
        case "record":
            text = "the fields below"
        case kind:
            text = kind
    return f"{text}, or nothing" if field.nullable else text


def _table(fields: Iterator[Field]) -> Iterator[str]:
    yield "| field | what | why | kind | what fits |\n| --- | --- | --- | --- | --- |\n"
    for top in fields:
        for path, field in flatten(top):
            fits = bound(field).replace("|", "\\|")
            yield f"| `{path}` | {field.doc} | {field.purpose} | {field.classification} | {fits} |\n"
