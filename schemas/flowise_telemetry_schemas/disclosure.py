"""The disclosure document: each field that is collected and why, in words for the users of the app."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from flowise_telemetry_schemas.catalog import Catalog
from flowise_telemetry_schemas.envelope import ENVELOPE_FIELDS
from flowise_telemetry_schemas.errors import SchemaError
from flowise_telemetry_schemas.event_schema import EventSchema
from flowise_telemetry_schemas.field import Field, flatten
from flowise_telemetry_schemas.terms import terms_of

__all__ = ["bound", "disclosure", "own_disclosure"]

_HEAD = """# What is collected

Generated from the schemas by `make generate`. This is the whole list: a record with any other field is refused where it
is made, and again where it is received. An app may bring [events of its own](own-events.md) beside these; it then has a
second document, made from their schemas, and the notice at its first run names them.

Turn it off with `DISABLE_FLOWISE_TELEMETRY=true` or `DO_NOT_TRACK=1`. See what would be sent with
`flowise-telemetry preview`.

## What still fits

The app reads no prompt, message, variable or setting into an event, and the fields are narrow; but a field that takes
any value at all can be misused. `tests/corpus` tries 479 made-up secrets, prompts, names and addresses against every
field, by every way in. Of these, an event that an app sends takes 61:

- **A tool's name** (`toolName`) is chosen by a person. It is withheld unless it looks like a function's name: at most
  six words of letters joined by `_` or `-`, few digits, pronounceable, without the beginning of a known kind of key.
  What is left is words: `jane_doe`, `what_is_the_capital_of_france` and a password of dictionary words look like
  functions and are sent. `FLOWISE_TELEMETRY_TOOL_NAMES=off` sends no name.
- **An id** (`chatflowId`, `chatId`, `toolId`, `assistantId`) takes every UUID, so also a secret that is one. With
  `FLOWISE_TELEMETRY_IDS=hashed` none leaves as it is. A `chatId` that is no UUID is always hashed.
- **The version** takes dates, up to five short numbers and one word of twelve letters: `28.12.1990`, `3.0.1-janedoe`,
  `3.0.1-x.555123.456789`. An app's own constant belongs there, nothing that a user typed.
- **Nodes** are told by a vocabulary of types that the app has, or had, and a number below 1,000. An app can add types
  of its own.

With ids hashed and tool names off, eight dates in the version are all that fits. An app that wants to send a text can
still spell it in the order of known nodes, or in made-up UUIDs: the schemas guard against accidents, not against their
own app.

Whoever writes to the topic without our producer is held to the patterns below, into which 89 of the 479 fit: node
types, tool names and the names in `stream_state.withheld` take any words of their shape, ids any UUID.

## What joins months

`instanceId` and `streamId` are others every calendar month (UTC), and the numbers begin at 0; by them nobody can
follow an installation from one month into the next. But:

- **The ids of the database stay the same** while `FLOWISE_TELEMETRY_IDS` is `plain`, the default: whoever sees two
  months of a flow's predictions knows that they are of one installation. A flow's id is public where a page embeds
  its chat, so that such a page names an installation. Choose `hashed` for everything that is not your own
  installation: the ids are then hashed with a key of the month, made from the secret that stays local, and three
  months of three installations have no value of any column of ids in common
  (`tests/producer/identity/test_months.py`).
- **The shape of a flow is as good as an id**, hashed or not. Of 14 real flows all 14 are unique by the types of their
  nodes alone; of 51 templates of the model app 49 are. A flow that is used for months looks the same in all of them.
- **Names of tools and rare versions** may do the same.

So the events are pseudonymous. They hold nothing that names a person or a machine, unless someone has put it into a
tool's name or a version, or chose an id that does.

"""


_OWN_HEAD = """# What else is collected

Generated from the schemas of {namespace} by `flowise-telemetry schemas generate`. These are the events that the app
sends beside those that flowise-telemetry ships, whose document says what any field of their kinds can still hold. A
record with any other field is refused where it is made, and again where it is received.

Turn it off with `DISABLE_FLOWISE_TELEMETRY=true` or `DO_NOT_TRACK=1`. See what would be sent with
`flowise-telemetry preview` and this folder as `--schemas`.

"""


def own_disclosure(schemas: Catalog) -> str:
    """Return the text of the disclosure document of an app's own events."""
    first = schemas.latest(schemas.events[0])
    return "".join([
        _OWN_HEAD.format(namespace=first.namespace),
        "## In every event\n\n",
        *_table(field for field in first.fields if field.name in ENVELOPE_FIELDS),
        *_event_parts(schemas),
    ])  # fmt: skip


def _event_parts(schemas: Catalog) -> Iterator[str]:
    for event in schemas.events:
        schema = schemas.latest(event)
        yield _heading(schemas, schema)
        yield from _table(field for field in schema.fields if field.name not in ENVELOPE_FIELDS)


def disclosure(schemas: Catalog) -> str:
    """Return the text of ``docs/TELEMETRY.md``."""
    first = schemas.latest(schemas.events[0])
    parts = [
        _HEAD,
        "## In every event\n\n",
        *_table(field for field in first.fields if field.name in ENVELOPE_FIELDS),
    ]
    parts += _event_parts(schemas)
    for name in schemas.names:
        if name not in schemas.events:
            schema = schemas.latest(name)
            parts += [_heading(schemas, schema), *_table(iter(schema.fields))]
    return "".join(parts)


def _heading(schemas: Catalog, schema: EventSchema) -> str:
    text = f"\n## {schema.event}\n\n{schema.doc} Schema version {schema.version}.\n\n"
    with contextlib.suppress(SchemaError):  # without terms; the check tells
        terms = terms_of(schemas, schema.event)
        end = "the last event" if schema.control else terms.end
        more = "" if schema.is_own else f" [More](events/{schema.event}.md)"
        text += f"Asked: **{terms.question}** Ends with {end}.{more}\n\n"
    return text


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
