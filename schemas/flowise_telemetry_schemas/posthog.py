"""Events as PostHog's clients send them, reduced to what the schemas name.

``{"event": …, "distinct_id": …, "properties": {…}, "timestamp": …, "uuid": …}``, as posthog-node and posthog-python
make it, and PostHog's own exports have it. What no schema names is dropped and counted, never named: an unknown name
is input too, and may be anything.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from flowise_telemetry_schemas.catalog import Catalog, catalog
from flowise_telemetry_schemas.envelope import ENVELOPE_FIELDS
from flowise_telemetry_schemas.errors import ValidationError
from flowise_telemetry_schemas.event_schema import EventSchema
from flowise_telemetry_schemas.events import Event
from flowise_telemetry_schemas.hashed_id import hashed_id
from flowise_telemetry_schemas.json_mapping import event_of_properties, milliseconds_of

__all__ = ["LATEST_MS", "OLDEST_MS", "NotMappedError", "PosthogEvent", "Why", "read_posthog"]

OLDEST_MS = 7 * 24 * 3_600_000
"""How long before its arrival an event may say that it occurred, in milliseconds."""
LATEST_MS = 5 * 60_000
"""How long after it, by a clock that is ahead."""

Why = Literal["unknown", "refused", "invalid"]

_REFUSED = frozenset({"user_created"})
"""Events of the app that are about a person."""
_BILLING = frozenset({"productId", "subscriptionId"})
_OF_POSTHOG = frozenset({"distinct_id", "token"})
_UUID7 = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_UUID = re.compile("[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_NOT_UNIQUE = frozenset({"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"})
_UNDATED_MS = 1_577_836_800_000  # 2020, where the schemas' time begins: a retry gets the same id, whenever it comes
_MAX_TIME_MS = (1 << 48) - 1  # of a UUIDv7


class NotMappedError(Exception):
    """``why`` nothing of a message is kept: it is of no event that is known, of a refused one, or breaks its schema.

    The text names fields and rules of the schema alone, never a value.
    """

    def __init__(self, why: Why, message: str) -> None:
        super().__init__(message)
        self.why = why


@dataclass(slots=True)  # not frozen, which takes half a microsecond
class PosthogEvent:
    """What is kept of a message; do not modify it.

    ``distinct_id`` says who sent it, an organisation in the app that this is for; it never leaves as it is.
    ``dropped_properties`` counts those that no schema names, without billing ids and PostHog's own.
    """

    event: Event
    distinct_id: str
    timestamp_ms: int | None
    dropped_properties: int
    message: Mapping[str, Any]

    def occurred_at_ms(self, arrived_at_ms: int) -> int:
        """Return its time if that is in a week before the arrival and five minutes after it, else the arrival's."""
        given = self.timestamp_ms
        if given is None or not arrived_at_ms - OLDEST_MS <= given <= arrived_at_ms + LATEST_MS:
            return arrived_at_ms
        return given

    def event_id(self, key: bytes, arrived_at_ms: int, place: int = 0) -> str:
        """Return the same id each time that the same message comes, so that a retry is not a second event.

        A ``uuid`` that is a UUIDv7 is the id; any other makes one, of the message's time and a hash under ``key``. So
        does the whole message, at its ``place`` in the batch, where it has no ``uuid`` but a time; one that has neither
        has an id by its arrival. The nil UUID, which a client without chance sends with each, counts as none, and a
        text that is no UUID tells one message from another only together with the rest of it.
        """
        given = self.message.get("uuid")
        text = given.lower() if isinstance(given, str) and given.lower() not in _NOT_UNIQUE else ""
        if _UUID7.fullmatch(text):
            return text
        dated_ms = self.timestamp_ms
        if _UUID.fullmatch(text):
            content = text.encode()
            dated_ms = _UNDATED_MS if dated_ms is None else dated_ms
        else:
            arrived = arrived_at_ms if dated_ms is None and not text else None
            content = self._whole(place, arrived)
            if dated_ms is None:
                dated_ms = _UNDATED_MS if text else arrived_at_ms
        made_ms = dated_ms if 0 <= dated_ms <= _MAX_TIME_MS else _UNDATED_MS
        return hashed_id(hmac.digest(key, content, hashlib.sha256), made_ms=made_ms)

    def _whole(self, place: int, arrived_at_ms: int | None) -> bytes:
        try:
            return json.dumps([self.message, place, arrived_at_ms], sort_keys=True).encode()
        except RecursionError:  # nested as deep as could just be read: what is kept is not
            kept = [self.event.EVENT, self.event.properties(), self.distinct_id, self.timestamp_ms]
            return json.dumps([kept, place, arrived_at_ms], sort_keys=True).encode()


def read_posthog(message: object, schemas: Catalog | None = None) -> PosthogEvent:
    """Return what is kept of one message, an event of ``schemas``; None: of those that this package ships.

    Raises ``NotMappedError``.
    """
    schemas = schemas or catalog()
    if not isinstance(message, dict):
        raise NotMappedError("invalid", "must be an object with event, distinct_id and properties")
    name = message.get("event")
    if isinstance(name, str) and name in _REFUSED:
        raise NotMappedError("refused", "is an event about a person")
    if not isinstance(name, str) or name not in schemas.events:
        raise NotMappedError("unknown", "is of no event that is known")
    given = message.get("properties")
    if not isinstance(given, dict):
        raise NotMappedError("invalid", f"{name}: properties: must be an object")
    distinct_id = message.get("distinct_id") or given.get("distinct_id")
    if not isinstance(distinct_id, str | int) or not distinct_id:
        raise NotMappedError("invalid", f"{name}: distinct_id: is missing")
    schema = schemas.latest(name)
    properties, dropped = _kept(schema, given)
    try:
        event = event_of_properties(schema, properties, bounds=False)
    except ValidationError as error:
        raise NotMappedError("invalid", f"{name}: {error}") from None
    if event.version is None:
        raise NotMappedError("invalid", f"{name}: version: is missing")
    return PosthogEvent(event, str(distinct_id), _timestamp_ms(message.get("timestamp")), dropped, message)


def _kept(schema: EventSchema, given: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Return the properties that the event's schema names, by the names of its fields, and how many are none of it."""
    names, reducers = _names(schema), _reducers(schema)
    kept: dict[str, Any] = {}
    dropped = 0
    for key, value in given.items():
        name = names.get(key)
        if name is None:
            dropped += not (key.startswith("$") or key in _BILLING or key in _OF_POSTHOG)
        elif name == key or name not in given:  # under its name, where it has two
            reduce = reducers.get(name)
            kept[name] = value if reduce is None else reduce(value)
    if schema.event == "vector_upserted":
        kept.setdefault("flowGraph", _NO_GRAPH)
    return kept, dropped


@functools.cache
def _names(schema: EventSchema) -> dict[str, str]:
    """Return the field of each spelling; the envelope is not the sender's to give."""
    own = [field for field in schema.fields if field.name not in ENVELOPE_FIELDS]
    return {spelling: field.name for field in own for spelling in (*field.aliases, field.name)}


_NO_GRAPH: dict[str, list[Any]] = {"nodes": [], "edges": []}


@functools.cache
def _reducers(schema: EventSchema) -> dict[str, Callable[[Any], Any]]:
    """Return what brings a value into the form of the schema, where the app has a form of its own."""
    reducers: dict[str, Callable[[Any], Any]] = {
        field.name: functools.partial(_symbol, frozenset(field.symbols)) for field in schema.fields if field.symbols
    }
    reducers["flowGraph"] = functools.partial(_graph, schema.event)
    reducers["stopNodeId"] = reducers["toolName"] = _text_or_none
    return reducers


def _symbol(symbols: frozenset[str], value: Any) -> Any:
    """Return a symbol as the schema writes it: in capitals, whatever the app does."""
    return value.upper() if isinstance(value, str) and value.upper() in symbols else value


def _text_or_none(value: Any) -> Any:
    return value if isinstance(value, str) and value else None


def _graph(event: str, given: Any) -> Any:
    """Return ids and edges alone; an upsert from the document store has counters in place of a graph, or nothing."""
    if not isinstance(given, dict) or "nodes" not in given:
        return _NO_GRAPH if event == "vector_upserted" and (given is None or isinstance(given, dict)) else given
    nodes, edges = given["nodes"], given.get("edges")
    if not isinstance(nodes, list):
        return {"nodes": nodes, "edges": edges}
    ids = [node for node in nodes if isinstance(node, str)]
    known = set(ids)
    ends = []
    for edge in edges if isinstance(edges, list) else ():
        if isinstance(edge, dict):
            source, target = edge.get("source"), edge.get("target")
            if isinstance(source, str) and isinstance(target, str) and source in known and target in known:
                ends.append({"source": source, "target": target})
    return {"nodes": ids, "edges": ends}


def _timestamp_ms(given: object) -> int | None:
    if not isinstance(given, str):
        return None
    try:
        return milliseconds_of(given)
    except (ValueError, OverflowError):
        return None
