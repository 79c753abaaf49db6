"""Preview of an event as it would be sent."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowise_telemetry.content import Content
from flowise_telemetry.encoding.encoder import Encoder, new_stream_id
from flowise_telemetry.identity.instance_id import InstanceId, find_secret
from flowise_telemetry.identity.stream import StreamCounts
from flowise_telemetry_schemas import codec
from flowise_telemetry_schemas.catalog import Catalog, catalog
from flowise_telemetry_schemas.event_schema import EventSchema
from flowise_telemetry_schemas.events import Event
from flowise_telemetry_schemas.field import Field
from flowise_telemetry_schemas.json_mapping import record_to_json
from flowise_telemetry_schemas.own_events import OwnEvent, OwnEvents
from flowise_telemetry_transport.topics import EVENTS_TOPIC

__all__ = ["Preview", "PreviewField", "preview", "preview_state"]


@dataclass(frozen=True, slots=True)
class PreviewField:
    """One field by its ``path`` (``flowGraph.edges[].source``): its value, and the purpose of collecting it."""

    path: str
    value: Any
    purpose: str
    classification: str


@dataclass(frozen=True, slots=True)
class Preview:
    """A record as Kafka would receive it: ``record`` as JSON, ``value`` as the exact bytes, and their ``key``."""

    event: str
    topic: str
    schema_version: int
    schema_fingerprint: str
    record: Mapping[str, Any]
    key: bytes
    value: bytes
    fields: tuple[PreviewField, ...]


def preview(
    event: Event | OwnEvent,
    *,
    app_version: str = "0.0.0",
    topic: str = EVENTS_TOPIC,
    environ: Mapping[str, str] | None = None,
    own: OwnEvents | None = None,
) -> Preview:
    """Return the event as the production encoder makes it, as the first of its stream.

    ``instanceId`` is the real one if the local secret exists; if not, it comes from a random secret that is not stored,
    because a preview creates no file. ``own`` are the events that are not shipped. Raises ``ValidationError``.
    """
    encoded = _encoder(app_version, environ, own).encode(event, 0, time.time_ns() // 1_000_000)
    return preview_of(encoded.key, encoded.value, topic, schemas=None if own is None else own.catalog)


def preview_state(
    *, app_version: str = "0.0.0", topic: str = EVENTS_TOPIC, environ: Mapping[str, str] | None = None
) -> Preview:
    """Return the control record that ends a stream of 1,000 events, of which two were dropped and one waits on disk.

    Three had no tool's name, because it was none.
    """
    withheld = {("tool_created", "toolName", "not_a_name"): 3}
    counts = StreamCounts(numbered=1_000, waiting=1, dropped={"invalid": 2}, withheld=withheld)
    encoder = _encoder(app_version, environ)
    encoded = encoder.encode_state(counts, sequence=0, occurred_at_ms=time.time_ns() // 1_000_000, ended=True)
    return preview_of(encoded.key, encoded.value, topic)


def _encoder(app_version: str, environ: Mapping[str, str] | None, own: OwnEvents | None = None) -> Encoder:
    environ = os.environ if environ is None else environ
    secret = find_secret(environ) or secrets.token_bytes(32)
    content = Content.read(environ)
    if own is None:
        return Encoder(app_version, InstanceId(secret), new_stream_id(), content)
    content = content.with_node_types(own.node_types)
    return Encoder(app_version, InstanceId(secret), new_stream_id(), content, schemas=own.catalog)


def preview_of(key: bytes, value: bytes, topic: str, *, schemas: Catalog | None = None) -> Preview:
    """Return the preview of an encoded event. Raises ``DecodeError``."""
    schema, record = codec.decode(value, schemas or catalog())
    shown = record_to_json(schema, record)["properties"]
    return Preview(
        event=schema.event,
        topic=topic,
        schema_version=schema.version,
        schema_fingerprint=schema.fingerprint_hex,
        record=shown,
        key=key,
        value=value,
        fields=tuple(_fields(schema, shown)),
    )


def _fields(schema: EventSchema, record: Mapping[str, Any]) -> Iterator[PreviewField]:
    for field in schema.fields:
        yield from _field(field, field.name, record.get(field.name))


def _field(field: Field, path: str, value: Any) -> Iterator[PreviewField]:
    yield PreviewField(path, value, field.purpose, field.classification)
    inner, inner_path = field, path
    if field.items is not None:
        inner, inner_path = field.items, f"{path}[]"
    for below in inner.fields:
        values = [item.get(below.name) for item in value or ()] if field.items is not None else value.get(below.name)
        yield from _field(below, f"{inner_path}.{below.name}", values)
