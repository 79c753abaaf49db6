"""What PostHog's clients send, into the producer."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from flowise_telemetry import DropReason
from flowise_telemetry_gateway.counters import GatewayCounters
from flowise_telemetry_gateway.intake.mapping import MAX_KEPT_CHARACTERS, MadeIds, mapped
from flowise_telemetry_gateway.refusal import RefusedRequestError
from flowise_telemetry_schemas import Catalog, Event, catalog
from flowise_telemetry_schemas.posthog import NotMappedError, PosthogEvent

__all__ = ["PosthogIntake", "Relay", "key_of", "messages_of", "values_of"]

_FULL_SECONDS = 5
_OFF_SECONDS = 60
_REMEMBERED_EVENTS = 100_000


class Relay(Protocol):
    """What is used of ``Telemetry``."""

    def relay(self, event: Event, *, event_id: str, occurred_at: int, instance_id: str) -> DropReason | None:
        """Accept an event; return the reason if it is refused."""


def messages_of(body: bytes) -> tuple[Any, list[Any]]:
    """Return the document of a body and the messages in it: a batch, a list, or one alone.

    Raises ``RefusedRequestError`` (400) for anything else.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedRequestError(400, "malformed", "the body is not JSON") from None
    if isinstance(document, list):
        return document, document
    if not isinstance(document, dict):
        raise RefusedRequestError(400, "malformed", "the body is neither an object nor a list")
    if "batch" not in document:
        return document, [document]
    if not isinstance(document["batch"], list):
        raise RefusedRequestError(400, "malformed", "batch: must be a list")
    return document, document["batch"]


def values_of(body: bytes) -> int:
    """Return how many values a document has at most: what it takes in memory, and to read, is in proportion to it."""
    return body.count(b",") + body.count(b"[") + body.count(b"{") + 1


def key_of(document: Any) -> str:
    """Return the project key where PostHog's clients put it; an empty text where there is none."""
    if type(document) is dict and type(found := document.get("api_key")) is str and found:
        return found  # where nearly all put it
    places: list[Any] = [document, *document[:1]] if isinstance(document, list) else [document]
    for place in places:
        if isinstance(place, Mapping):
            inner = place.get("properties")
            for found in (place.get("api_key"), place.get("token"), _token_in(inner)):
                if isinstance(found, str) and found:
                    return found
    return ""


def _token_in(properties: Any) -> Any:
    return properties.get("token") if isinstance(properties, Mapping) else None


class PosthogIntake:
    """Maps messages and relays what is kept. ``secret`` keys the ids that are made of ids.

    ``schemas`` None: those of the shipped events. ``telemetry`` sends the same.
    """

    def __init__(
        self,
        telemetry: Relay,
        secret: bytes,
        counters: GatewayCounters,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        on_dropped: Callable[[NotMappedError], None] | None = None,
        schemas: Catalog | None = None,
        remembered_events: int = _REMEMBERED_EVENTS,
    ) -> None:
        self._schemas = schemas or catalog()
        self._telemetry = telemetry
        self._ids = MadeIds(secret)
        self._counters = counters
        self._now_ms = now_ms
        self._on_dropped = on_dropped
        self._remembered_events = remembered_events
        self._relayed: OrderedDict[str, None] = OrderedDict()

    def read(self, messages: list[Any]) -> list[tuple[int, PosthogEvent]]:
        """Return what is kept, each with its place in the batch, and count the rest."""
        counters = self._counters
        kept = []
        for place, message in enumerate(messages):
            try:
                found = mapped(message, self._schemas)
            except NotMappedError as error:
                self._count(error)
                continue
            counters.unknown_properties += found.dropped_properties
            kept.append((place, found))
        return kept

    def _count(self, error: NotMappedError) -> None:
        self._counters.count_dropped(error.why)
        if self._on_dropped is not None:
            self._on_dropped(error)

    def by_instance(self, kept: list[tuple[int, PosthogEvent]]) -> Mapping[str, int]:
        """Return how many events each sender has in it; a long name, which has no bound, by a hash."""
        if len(kept) == 1:
            return {_short(kept[0][1].distinct_id): 1}
        return Counter([_short(found.distinct_id) for _, found in kept])

    def relay(self, kept: list[tuple[int, PosthogEvent]]) -> int:
        """Hand the events to the producer and return how many there are.

        Raises ``RefusedRequestError`` (503) where it has no room, or is off: what was accepted before comes again with
        the same id. One of the latest 100,000 that comes again is not relayed again: it would get a second number in
        the stream, and the sink, which keeps one, would show the other as lost.
        """
        now_ms = self._now_ms()
        for place, found in kept:
            occurred_at_ms = found.occurred_at_ms(now_ms)
            event_id = self._ids.event_id(found, now_ms, place)
            if event_id in self._relayed:
                self._relayed.move_to_end(event_id)
                continue
            refused = self._telemetry.relay(
                found.event,
                event_id=event_id,
                occurred_at=occurred_at_ms,
                instance_id=self._ids.instance_id(found.distinct_id, occurred_at_ms),
            )
            if refused is DropReason.QUEUE_FULL:
                raise RefusedRequestError(
                    503, "unavailable", "the gateway has no room", retry_after_seconds=_FULL_SECONDS
                )
            if refused in (DropReason.OPTED_OUT, DropReason.CLOSED):
                raise RefusedRequestError(
                    503, "unavailable", "the gateway takes no events now", retry_after_seconds=_OFF_SECONDS
                )
            if refused is DropReason.RETIRED:
                self._count(NotMappedError("refused", f"{found.event.EVENT}: the event is retired"))
            if refused is None:
                self._counters.accepted[found.event.EVENT] += 1
                self._remember(event_id)
        return len(kept)

    def _remember(self, event_id: str) -> None:
        self._relayed[event_id] = None
        if len(self._relayed) > self._remembered_events:
            self._relayed.popitem(last=False)


def _short(text: str) -> str:
    if len(text) <= MAX_KEPT_CHARACTERS:
        return text
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
