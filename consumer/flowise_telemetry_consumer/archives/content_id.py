"""Ids for events that have none: the same content has the same id, whenever and however often it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from flowise_telemetry_schemas import EventSchema

__all__ = ["content_id"]


def content_id(schema: EventSchema, record: Mapping[str, Any]) -> str:
    """Return a UUIDv7 (RFC 9562) with the time of ``occurredAt``, and a hash of the other fields in place of chance.

    Neither the form of the file counts nor a field with its default. Two events with every field in common are one.
    """
    fields = {field.name: record.get(field.name, field.default) for field in schema.fields if field.name != "eventId"}
    # Fields that are not given leave no trace, so that the id stays when a later version of the schema adds one.
    given = {name: value for name, value in fields.items() if value is not None}
    content = json.dumps([schema.event, given], sort_keys=True, separators=(",", ":")).encode()
    digest = int.from_bytes(hashlib.sha256(content).digest()[:10], "big")
    random_a, random_b = digest >> 68, digest & ((1 << 62) - 1)
    number = (record["occurredAt"] & ((1 << 48) - 1)) << 80 | 7 << 76 | random_a << 64 | 2 << 62 | random_b
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
