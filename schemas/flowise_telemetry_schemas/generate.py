"""Generate the files that are derived from the ``.avsc`` files and kept in git: ``make generate``.

That is ``events.py`` (one frozen class per event), ``docs/TELEMETRY.md`` (the disclosure document),
``docs/events`` (a page an event) and ``avro/released.json`` (the files of each release, which never change after it).
With ``--check`` nothing is written, and the exit status is 1 if a file differs from what would be written.
"""

from __future__ import annotations

import contextlib
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from flowise_telemetry_schemas.catalog import Catalog, EventSchema, catalog
from flowise_telemetry_schemas.check import problems
from flowise_telemetry_schemas.disclosure import disclosure
from flowise_telemetry_schemas.envelope import ENVELOPE_FIELDS, VERSION_FIELD
from flowise_telemetry_schemas.errors import SchemaError
from flowise_telemetry_schemas.event_document import event_document
from flowise_telemetry_schemas.event_page import event_page
from flowise_telemetry_schemas.field import Field, all_fields
from flowise_telemetry_schemas.release import package_release
from flowise_telemetry_schemas.released import RELEASED_FILE, list_text, parse_list, read_list, released_problems
from flowise_telemetry_schemas.terms import terms_of

__all__ = ["event_classes", "main"]

HAND_WRITTEN = {"FlowGraph": "flow_graph", "Edge": "flow_graph"}
"""Records whose class does more than hold its fields. A test compares them to the schemas."""

_WIDTH = 116
"""Characters a line, without the indentation of a class."""

_SCALARS = {
    "string": "str",
    "uuid": "str",
    "int": "int",
    "long": "int",
    "boolean": "bool",
    "timestamp": "int",
}

_HEAD = '''"""The events as classes. Generated from the .avsc files by ``make generate``: edit those."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar
'''


def event_classes(schemas: Catalog, *, release: str = "0.0.0") -> str:
    """Return the text of ``events.py`` for the newest version of each event; an app makes no control records.

    ``release`` is that of the package, which ends events whose terms say so.
    """
    latest = [schemas.latest(event) for event in schemas.events]
    named = [field for schema in latest for field in all_fields(schema.fields) if field.type_name]
    enums = {str(field.type_name): field for field in named if field.kind == "enum"}
    records = {str(field.type_name): field for field in named if field.kind == "record"}
    made = {name: field for name, field in records.items() if name not in HAND_WRITTEN}
    imported = sorted(name for name in records if name in HAND_WRITTEN)
    names = [schema.name for schema in latest]
    parts = [_HEAD]
    if imported:
        parts.append(f"from flowise_telemetry_schemas.flow_graph import {', '.join(imported)}\n")
    exported = ["CLASSES", "DISCLOSURE", "EVENT_CLASSES", "RETIRED_FROM_MS", *sorted([*names, *enums, *made, "Event"])]
    parts.append("__all__ = [\n" + "".join(f'    "{name}",\n' for name in exported) + "]\n")
    parts += [_enum_class(name, field) for name, field in sorted(enums.items())]
    parts += [_record_class(name, field) for name, field in sorted(made.items())]
    parts += [_event_class(schema) for schema in latest]
    parts.append(f"\nEvent = {' | '.join(names)}\n" + '"""Any of the events."""\n')
    parts.append(
        f"DISCLOSURE = {schemas.disclosure}\n"
        '"""The number of the disclosure that names every field of these events."""\n'
    )
    parts.append(
        "EVENT_CLASSES: dict[str, type[Event]] = {\n"
        + "".join(f'    "{schema.event}": {schema.name},\n' for schema in latest)
        + '}\n"""The class of each event, by the event\'s name."""\n'
    )
    parts.append(_retired(schemas, release))
    parts.append(
        "CLASSES: dict[str, type[Any]] = {\n"
        + "".join(f'    "{name}": {name},\n' for name in sorted([*records, *enums]))
        + '}\n"""The class of each nested record and enum, by its Avro name."""\n'
    )
    return "\n".join(parts)


def _retired(schemas: Catalog, release: str) -> str:
    lines = []
    for event in schemas.events:
        with contextlib.suppress(SchemaError):  # without terms; the check tells
            since = terms_of(schemas, event).retired_from_ms(release)
            if since is not None:
                lines.append(f'    "{event}": {since},\n')
    entries = "{\n" + "".join(lines) + "}" if lines else "{}"
    return (
        f"RETIRED_FROM_MS: dict[str, int] = {entries}\n"
        '"""Since when events that have an end are not sent, in milliseconds since 1970; see ``event.toml``."""\n'
    )


def _enum_class(name: str, field: Field) -> str:
    lines = [f"\nclass {name}(StrEnum):", *_docstring(field.type_doc), ""]
    lines += [f'    {symbol} = "{symbol}"' for symbol in field.symbols]
    if field.other_symbol is not None:
        lines += [
            "",
            "    @classmethod",
            f"    def _missing_(cls, value: object) -> {name} | None:",
            f"        return cls.{field.other_symbol} if isinstance(value, str) else None",
        ]
    return "\n".join(lines) + "\n"


def _record_class(name: str, field: Field) -> str:
    lines = [
        "\n@dataclass(frozen=True, slots=True, kw_only=True)",
        f"class {name}:",
        *_docstring(field.type_doc),
        "",
    ]
    lines += _attributes(field.fields)
    lines += ["", *_properties("Return the record in wire form.", field.fields)]
    return "\n".join(lines) + "\n"


def _event_class(schema: EventSchema) -> str:
    own = [field for field in schema.fields if field.name not in ENVELOPE_FIELDS]
    lines = [
        "\n@dataclass(frozen=True, slots=True, kw_only=True)",
        f"class {schema.name}:",
        *_docstring(schema.doc),
        "",
        f'    EVENT: ClassVar[str] = "{schema.event}"',
        "",
        *_attributes(own),
        "",
        *_properties("Return the event's own fields in wire form.", own),
    ]
    return "\n".join(lines) + "\n"


def _attributes(fields: Iterator[Field] | tuple[Field, ...] | list[Field]) -> list[str]:
    lines = []
    for field in fields:
        annotation, default = _annotation(field), ""
        if field.name == VERSION_FIELD:
            annotation, default = "str | None", " = None"
        elif field.has_default:
            default = f" = {_default(field)}"
        doc = field.doc + (" Filled from the app's version where it is None." if field.name == VERSION_FIELD else "")
        lines += [f"    {field.column}: {annotation}{default}", *_docstring(doc)]
    return lines


def _docstring(text: str) -> list[str]:
    """Return a docstring, one level deep, whose lines keep the project's width."""
    quotes = '"""'
    if len(text) + len(quotes) * 2 <= _WIDTH:
        return [f"    {quotes}{text}{quotes}"]
    first, *rest = textwrap.wrap(text, _WIDTH - len(quotes))
    return [f"    {quotes}{first}", *(f"    {line}" for line in rest), f"    {quotes}"]


def _default(field: Field) -> str:
    return f"{field.type_name}.{field.default}" if field.kind == "enum" else repr(field.default)


def _annotation(field: Field) -> str:
    if field.kind == "array" and field.items:
        plain = f"tuple[{_annotation(field.items)}, ...]"
    else:
        plain = _SCALARS.get(field.kind) or str(field.type_name)
    return f"{plain} | None" if field.nullable else plain


def _properties(doc: str, fields: tuple[Field, ...] | list[Field]) -> list[str]:
    return [
        "    def properties(self) -> dict[str, Any]:",
        f'        """{doc}"""',
        "        return {",
        *(f'            "{field.name}": {_wire_value(field)},' for field in fields),
        "        }",
    ]


def _wire_value(field: Field) -> str:
    value = f"self.{field.column}"
    if field.kind == "record":
        # Anything else in its place is kept, for the constraints to reject.
        return f"{value}.properties() if isinstance({value}, {field.type_name}) else {value}"
    if field.kind == "array" and field.items:
        item = "item.properties()" if field.items.kind == "record" else "item"
        return f"[{item} for item in {value}] if isinstance({value}, tuple) else {value}"
    return value


def main(arguments: list[str] | None = None) -> int:
    """Write the derived files of this checkout, or with ``--check`` compare them. Return the exit status."""
    check_only = "--check" in (sys.argv[1:] if arguments is None else arguments)
    package = Path(__file__).parent
    schemas = catalog()
    release = package_release()
    known = read_list(package / "avro")
    frozen = {name: line for name, line in known.items() if line.release != release}
    broken = [str(problem) for problem in (*problems(schemas), *released_problems(schemas, frozen))]
    if broken:
        sys.stderr.write("\n".join(broken) + "\n")
        return 1
    docs = package.parent.parent / "docs"
    listed = list_text(schemas, known, release=release)
    derived = {
        package / "events.py": event_classes(schemas, release=release),
        package / "avro" / RELEASED_FILE: listed,
        docs / "TELEMETRY.md": disclosure(schemas),
    }
    released = parse_list(listed)
    for event in schemas.names:
        with contextlib.suppress(SchemaError):  # without terms; the check tells
            page = event_page(event_document(schemas, event, released))
            derived[docs / "events" / f"{event}.md"] = page
    status = 0
    for path, text in derived.items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        status = 1 if check_only else 0
        if check_only:
            sys.stderr.write(f"{path.name} differs from the schemas: run make generate\n")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
