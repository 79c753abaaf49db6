"""A consumer group, looked at without joining it: its members notice nothing, and nothing is committed."""

from __future__ import annotations

import time
from collections.abc import Iterator

from flowise_telemetry_transport.diagnosis import requests
from flowise_telemetry_transport.diagnosis.finding import Finding, failed, not_tried, ok, warning
from flowise_telemetry_transport.diagnosis.probe import connected
from flowise_telemetry_transport.diagnosis.requests import NOT_PERMITTED, GroupState
from flowise_telemetry_transport.diagnosis.wire import Wire
from flowise_telemetry_transport.errors import not_permitted
from flowise_telemetry_transport.settings import KafkaSettings

__all__ = ["look_at_group"]

_RIGHT = "group: right"
_GROUPS_TOPIC = "__consumer_offsets"
_MISSING = 69  # GROUP_ID_NOT_FOUND
_COORDINATOR_MOVES = (14, 15, 16)  # COORDINATOR_LOAD_IN_PROGRESS, _NOT_AVAILABLE; NOT_COORDINATOR
_RETRY_SECONDS = 0.2


def look_at_group(settings: KafkaSettings, wire: Wire, name: str, *, seconds: float) -> Iterator[Finding]:
    """Yield the group's state and the right to read with it, as its coordinator counts it for this login.

    Where this login may not see that a cluster never had a group, the question makes the topic of groups, as the first
    consumer does.
    """
    if requests.topic(wire, _GROUPS_TOPIC).is_missing:
        # To ask for a coordinator would have the broker make that topic.
        yield not_tried(_RIGHT, "this cluster has had no group yet, so that none of its brokers coordinates them")
        return
    end = time.monotonic() + seconds / 2
    state = _asked(settings, wire, name, seconds)
    while state.code in _COORDINATOR_MOVES and time.monotonic() < end:
        time.sleep(_RETRY_SECONDS)
        state = _asked(settings, wire, name, seconds)
    yield from _findings(name, state)


def _asked(settings: KafkaSettings, wire: Wire, name: str, seconds: float) -> GroupState:
    code, host, port = requests.coordinator(wire, name)
    if code:
        return GroupState(code, "", 0, None)
    there = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    with connected(settings, there, seconds=seconds) as coordinator:
        return requests.group(coordinator, name)


def _findings(name: str, state: GroupState) -> Iterator[Finding]:
    if state.code in _COORDINATOR_MOVES:
        later = "try again in a minute; if it stays so, see the brokers' logs"
        yield warning("group", f"no broker coordinates {name} yet (error {state.code} of Kafka's protocol)", later)
        yield not_tried(_RIGHT, "no broker coordinates the group yet")
        return
    if state.code not in (0, _MISSING, *NOT_PERMITTED):
        error = f"{name} cannot be looked at (error {state.code} of Kafka's protocol)"
        yield failed("group", error, "see the brokers' logs")
        return
    may_be_seen = state.code not in NOT_PERMITTED
    if may_be_seen:
        is_new = state.state in ("Dead", "")
        members = f"{state.members} member{'' if state.members == 1 else 's'}"
        yield ok("group", f"{name} {'is new' if is_new else f'is {state.state}, with {members}'}")
    if may_be_seen and state.rights is None:
        yield not_tried(_RIGHT, "this broker does not tell rights")
    elif may_be_seen and "Read" in (state.rights or ()):
        yield ok(_RIGHT, f"Read on group {name}")
    else:
        yield failed(_RIGHT, not_permitted("group", f"group {name}"))
