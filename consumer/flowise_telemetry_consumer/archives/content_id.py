"""Ids for events that have none: the same content has the same id, whenever and however often it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flowise_telemetry_schemas import EventSchema
from flowise_telemetry_schemas.hashed_id import hashed_id

__all__ = ["content_id"]


def content_id(schema: EventSchema, record: Mapping[str, Any]) -> str:
    """Return an id with the time of ``occurredAt`` and a hash of the event's fields.

    Neither the form of the file counts nor a field with its default. Two events with every field in common are one.
    """
    fields = {field.name: record.get(field.name, field.default) for field in schema.fields if field.name != "eventId"}
    # Fields that are not given leave no trace, so that the id stays when a later version of the schema adds one.
    given = {name: value for name, value in fields.items() if value is not None}
    content = json.dumps([schema.event, given], sort_keys=True, separators=(",", ":")).encode()
    return hashed_id(content, made_ms=record["occurredAt"])
