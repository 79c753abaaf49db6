"""Lines of events as our sink writes them, and as others do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flowise_telemetry_consumer.sinks.jsonl.lines import lines_of
from flowise_telemetry_schemas import catalog
from tests.consumer.sinks.batches import batch

__all__ = ["changed", "documents", "own_lines", "spaced"]


def own_lines(number: int = 0, repeat: int = 1) -> list[bytes]:
    """Lines of all events, as our sink writes them, without line feeds."""
    frames = batch(number, repeat).frames
    return [line for event in frames for line in lines_of(catalog().latest(event), frames[event]).splitlines()]


def documents(number: int = 0, repeat: int = 1) -> list[dict[str, Any]]:
    return [json.loads(line) for line in own_lines(number, repeat)]


def spaced(document: Mapping[str, Any]) -> bytes:
    """The line as Python's json and jq without -c's brevity write it, with the keys in another order."""
    fields = dict(reversed(document["properties"].items()))
    return json.dumps({"properties": fields, "event": document["event"]}).encode()


def changed(document: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """The document with other values; None takes the field away."""
    merged = {**document["properties"], **fields}
    kept = {name: value for name, value in merged.items() if value is not None or name == "stopNodeId"}
    return {**document, "properties": kept}
