"""Events that carry a number, so that what arrives can be told from what was offered."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from flowise_telemetry_schemas import ChatflowCreated, Edge, Event, FlowGraph, ToolCreated, event_to_json

__all__ = ["VERSION", "event_of", "expected_fields", "number_of"]

VERSION = "3.0.1"
_ID = "0e0f0a0b-1c2d-4e3f-8a9b-"
_PLACES = {"toolId", "chatflowId"}


def event_of(number: int) -> Event:
    """Return the event of a number; every third one has a flow."""
    identity = f"{_ID}{number:012x}"
    if number % 3:
        return ToolCreated(version=VERSION, tool_id=identity, tool_name=f"tool_{number % 1_000}")
    nodes = tuple(f"bufferMemory_{index}" for index in range(number % 7))
    edges = tuple(Edge(source, target) for source, target in pairwise(nodes))
    return ChatflowCreated(version=VERSION, chatflow_id=identity, flow_graph=FlowGraph(nodes=nodes, edges=edges))


def expected_fields(number: int) -> dict[str, Any]:
    """Return the fields that a record of this number has beside its envelope, as JSON."""
    fields: dict[str, Any] = event_to_json(event_of(number))["properties"]
    return fields


def number_of(record: Mapping[str, Any]) -> int | None:
    """Return the number of a record, given as JSON; None if it is none of ours."""
    for place in _PLACES & record.keys():
        text = str(record[place])
        if text.startswith(_ID):
            return int(text.removeprefix(_ID), 16)
    return None
