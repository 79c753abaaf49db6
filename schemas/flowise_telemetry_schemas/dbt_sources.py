"""The tables of a sink as dbt sources: descriptions, and tests of what the schemas promise."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from flowise_telemetry_schemas.event_document import EventDocument, FieldDocument

__all__ = ["dbt_sources"]

_KEY = "event_id"


def dbt_sources(documents: Iterable[EventDocument]) -> str:
    """Return the text of a ``sources.yml`` (dbt, "Source properties"). Texts are in JSON's quotes, which YAML takes."""
    return "".join(f"{line}\n" for line in _lines(documents))


def _lines(documents: Iterable[EventDocument]) -> Iterator[str]:
    yield "# Generated from the schemas: flowise-telemetry schemas docs --format dbt"
    yield "version: 2"
    yield "sources:"
    yield "  - name: flowise_telemetry"
    yield f"    description: {_text('Usage telemetry, one table for each event.')}"
    yield "    tables:"
    for document in documents:
        yield f"      - name: {document.event}"
        yield f"        description: {_text(f'{document.doc} Asked: {document.question}')}"
        yield "        columns:"
        for field in document.fields:
            if field.column is not None:
                yield from _column(field)


def _column(field: FieldDocument) -> Iterator[str]:
    yield f"          - name: {_text(field.column or '')}"
    yield f"            description: {_text(f'{field.what} {field.why}')}"
    tests = [_text("unique")] if field.column == _KEY else []
    tests += [] if field.nullable else [_text("not_null")]
    if field.values:
        tests.append(json.dumps({"accepted_values": {"values": list(field.values)}}))
    if tests:
        yield f"            data_tests: [{', '.join(tests)}]"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
