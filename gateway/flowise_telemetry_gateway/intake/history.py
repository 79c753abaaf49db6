"""Events that PostHog exported, as the records that the gateway would have made of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flowise_telemetry.content import Content
from flowise_telemetry.encoding.encoder import Encoded, Encoder
from flowise_telemetry.encoding.given_envelope import GivenEnvelope
from flowise_telemetry_gateway.counters import GatewayCounters
from flowise_telemetry_gateway.intake.mapping import MadeIds, mapped
from flowise_telemetry_schemas import Catalog, catalog, codec, record_to_json
from flowise_telemetry_schemas.errors import ValidationError
from flowise_telemetry_schemas.posthog import NotMappedError, PosthogEvent

__all__ = ["PosthogHistory"]

_STREAM = "00000000-0000-0000-0000-000000000000"  # until the event's own takes its place


class PosthogHistory:
    """Maps exported events one by one; ``secret`` and ``content`` are those of the gateway.

    An event has the id and the installation that the gateway gives it, so that one that came live is not there twice.
    It is a stream of its own: nobody numbered it, so nothing can be missing beside it. ``schemas`` None: those of the
    shipped events.
    """

    def __init__(
        self,
        secret: bytes,
        counters: GatewayCounters,
        *,
        content: Content | None = None,
        schemas: Catalog | None = None,
    ) -> None:
        self._ids = MadeIds(secret)
        self._counters = counters
        self._schemas = schemas or catalog()
        self._encoder = Encoder("0.0.0", self._ids.secret_of_month, _STREAM, content, schemas=schemas)

    def properties_of(self, message: object) -> tuple[str, dict[str, Any]]:
        """Return the event's name and its fields as JSON, with the envelope, of one exported event.

        Raises ``NotMappedError`` (counted) for one that is not kept.
        """
        try:
            found = mapped(_plain(message), self._schemas)
            encoded = self._encoded(found)
        except NotMappedError as error:
            self._counters.count_dropped(error.why)
            raise
        self._counters.unknown_properties += found.dropped_properties
        schema, fields = codec.decode(encoded.value, self._schemas)
        properties: dict[str, Any] = record_to_json(schema, fields | {"streamId": encoded.event_id})["properties"]
        return schema.event, properties

    def _encoded(self, found: PosthogEvent) -> Encoded:
        """Return the event as a producer sends it, which withholds what may not leave."""
        event, time_ms = found.event, found.timestamp_ms
        if time_ms is None:
            raise NotMappedError("invalid", f"{event.EVENT}: timestamp: is missing, or is no time")
        event_id = self._ids.event_id(found, time_ms)
        instance_id = self._ids.instance_id(found.distinct_id, time_ms)
        try:
            given = GivenEnvelope.checked(event.EVENT, event_id=event_id, occurred_at=time_ms, instance_id=instance_id)
            return self._encoder.encode(event, 0, time_ms, given)
        except ValidationError as error:
            raise NotMappedError("invalid", f"{event.EVENT}: {error}") from None


def _plain(message: object) -> object:
    """Return a message whose properties are an object: columns of JSON come as text in some exports."""
    if isinstance(message, Mapping) and isinstance(message.get("properties"), str):
        try:
            return {**message, "properties": json.loads(message["properties"])}
        except (ValueError, RecursionError):
            return message
    return message
