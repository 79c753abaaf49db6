"""PostHog's exported events for ``import --format posthog``: mapped as the gateway maps what its clients send."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from typing import Any, Final

from flowise_telemetry.content import Content
from flowise_telemetry.identity.instance_id import find_secret, load_secret
from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_consumer.archives.json_lines import LineFaultError
from flowise_telemetry_gateway import GatewayCounters
from flowise_telemetry_gateway.intake.history import PosthogHistory
from flowise_telemetry_schemas.posthog import NotMappedError

__all__ = ["POSTHOG", "PosthogLines"]

POSTHOG: Final = "posthog"
_NEW_IDS = (
    "ids are hashed with a new secret: for those that a gateway made, set FLOWISE_TELEMETRY_INSTANCE_SECRET_FILE"
    " to the file of its secret"
)


class PosthogLines:
    """Translates lines of an export; what is left out by intent is counted and never named."""

    def __init__(self, history: PosthogHistory, counters: GatewayCounters) -> None:
        self._history = history
        self._counters = counters

    @classmethod
    def of(cls, invocation: Invocation, *, keeps_secret: bool) -> PosthogLines:
        """Return the lines as the gateway of this user maps them.

        ``keeps_secret``: where there is no secret yet, the new one is stored.
        """
        secret = find_secret(os.environ)
        if secret is None:
            echo(f"note: {_NEW_IDS}", err=True)
            secret = load_secret(os.environ) if keeps_secret else secrets.token_bytes(32)
        content, schemas = Content.read(os.environ), None
        if invocation.own_events is not None:
            schemas = invocation.own_events.catalog
            content = content.with_node_types(invocation.own_events.node_types)
        counters = GatewayCounters()
        return cls(PosthogHistory(secret, counters, content=content, schemas=schemas), counters)

    def __call__(self, document: Any) -> tuple[str, Mapping[str, Any]] | None:
        """Return the event and its fields; None for an event that no schema names, or that is about a person."""
        if not isinstance(document, dict) or not isinstance(document.get("event"), str):
            raise LineFaultError("shape", "must be an event of PostHog's: an object with event, properties, timestamp")
        try:
            return self._history.properties_of(document)
        except NotMappedError as error:
            if error.why != "invalid":
                return None
            event, _, message = str(error).partition(": ")
            raise LineFaultError("posthog", message, event=event) from None

    def dropped(self) -> dict[str, int]:
        """Return how many of what was left out by intent."""
        counters = self._counters
        return {
            "unknown_events": counters.unknown_events,
            "refused_events": counters.refused_events,
            "unknown_properties": counters.unknown_properties,
        }
