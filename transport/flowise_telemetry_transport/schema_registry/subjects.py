"""Subjects of a registry, and the text under which a schema stands there."""

from __future__ import annotations

import json

from flowise_telemetry_schemas.event_schema import EventSchema

__all__ = ["schema_json", "subject_of"]


def subject_of(topic: str, schema: EventSchema) -> str:
    """Return the subject of a schema: Confluent's TopicRecordNameStrategy, as one topic has many kinds of record."""
    return f"{topic}-{schema.source['namespace']}.{schema.name}"


def schema_json(schema: EventSchema) -> str:
    """Return the schema as it is registered: its whole file, so that bounds and reasons can be read there too."""
    return json.dumps(schema.source, ensure_ascii=False)
