"""Everything that is to be known of an event, gathered from its schemas, its terms and the list of releases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from flowise_telemetry_schemas.catalog import Catalog
from flowise_telemetry_schemas.disclosure import bound
from flowise_telemetry_schemas.envelope import ENVELOPE_FIELDS, VERSION_FIELD
from flowise_telemetry_schemas.event_schema import EventSchema
from flowise_telemetry_schemas.evolution import changes
from flowise_telemetry_schemas.field import flatten
from flowise_telemetry_schemas.released import Released
from flowise_telemetry_schemas.terms import terms_of

__all__ = ["EventDocument", "FieldDocument", "VersionDocument", "event_document"]

_QUERY = "SELECT {column}, count(*) AS events{also} FROM {table} GROUP BY {column} ORDER BY events DESC;"


@dataclass(frozen=True, slots=True)
class FieldDocument:
    """A field by its ``path``; ``column`` is None for what lies inside another field. ``values`` are an enum's."""

    path: str
    column: str | None
    what: str
    why: str
    kind: str
    fits: str
    nullable: bool
    envelope: bool
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VersionDocument:
    """One version: the release that it came with, if it is out or prepared, and its changes in words."""

    version: int
    fingerprint: str
    release: str | None
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EventDocument:
    """An event, or a control record; ``ends_with`` is a release or a day."""

    event: str
    doc: str
    control: bool
    question: str
    owner: str
    review: str
    ends_with: str
    fields: tuple[FieldDocument, ...]
    history: tuple[VersionDocument, ...]
    queries: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """Return the document as JSON takes it."""
        return asdict(self)


def event_document(schemas: Catalog, event: str, known: Mapping[str, Released]) -> EventDocument:
    """Return the document of one kind of record. Raises ``SchemaError`` for an event without terms."""
    newest, terms = schemas.latest(event), terms_of(schemas, event)
    return EventDocument(
        event=event,
        doc=newest.doc,
        control=newest.control,
        question=terms.question,
        owner=terms.owner,
        review=terms.review,
        ends_with=terms.end,
        fields=tuple(_fields(newest)),
        history=tuple(_history([schema for schema in schemas if schema.event == event], known)),
        queries=tuple(_queries(newest)),
    )


def _fields(schema: EventSchema) -> Iterator[FieldDocument]:
    for top in schema.fields:
        for path, field in flatten(top):
            yield FieldDocument(
                path=path,
                column=top.column if field is top else None,
                what=field.doc,
                why=field.purpose,
                kind=field.classification,
                fits=bound(field),
                nullable=field.nullable,
                envelope=top.name in ENVELOPE_FIELDS,
                values=field.symbols,
            )


def _history(versions: list[EventSchema], known: Mapping[str, Released]) -> Iterator[VersionDocument]:
    previous: EventSchema | None = None
    for schema in versions:
        line = known.get(f"{schema.event}/v{schema.version}.avsc")
        told = ("the first version",) if previous is None else tuple(map(str, changes(previous, schema)))
        yield VersionDocument(schema.version, schema.fingerprint_hex, line.release if line else None, told)
        previous = schema


def _queries(schema: EventSchema) -> Iterator[str]:
    """Yield queries in the SQL that all sinks with tables share; an app may call an event what SQL keeps for itself."""
    table = f'"{schema.event}"' if schema.is_own else schema.event
    yield _QUERY.format(column=VERSION_FIELD, also="", table=table)
    for field in schema.fields:
        if field.kind == "enum":
            also = ", count(DISTINCT instance_id) AS installations"
            yield _QUERY.format(column=f'"{field.column}"', also=also, table=table)
