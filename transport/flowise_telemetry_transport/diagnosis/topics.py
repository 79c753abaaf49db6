"""The topics of a command, and its rights on them and on its group, as the brokers tell them to this login."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from flowise_telemetry_schemas.errors import TelemetryError
from flowise_telemetry_transport.diagnosis import requests
from flowise_telemetry_transport.diagnosis.clock import look_at_times
from flowise_telemetry_transport.diagnosis.finding import Finding, failed, not_tried, ok
from flowise_telemetry_transport.diagnosis.groups import look_at_group
from flowise_telemetry_transport.diagnosis.probe import connected
from flowise_telemetry_transport.diagnosis.requests import NOT_PERMITTED, TopicState
from flowise_telemetry_transport.diagnosis.topic_settings import record_size, replication, retention
from flowise_telemetry_transport.diagnosis.wire import Wire
from flowise_telemetry_transport.errors import BrokerUnavailableError, not_permitted
from flowise_telemetry_transport.settings import KafkaSettings

__all__ = ["DEAD_LETTERS", "Needs", "look_at_topics", "topic_settings"]

Operation = Literal["Read", "Write"]

DEAD_LETTERS = "dead letters"
"""Name of the findings on their topic."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a command needs of a cluster: operations on each topic that it has, and reading with its group, if any."""

    topic: str = ""
    operations: tuple[Operation, ...] = ()
    group: str = ""
    dead_letter_topic: str = ""
    dead_letter_operations: tuple[Operation, ...] = ()


def look_at_topics(settings: KafkaSettings, needs: Needs, *, seconds: float) -> Iterator[Finding]:
    """Yield the broker's release, then what is found of each topic and of the group. Nothing is made or changed."""
    with _any_server(settings, seconds) as wire:
        release = requests.broker_release(wire)
        yield ok("broker", f"Kafka {release} or later" if release else "tells no release; it is no Kafka with KRaft")
        if needs.topic:
            yield from _topic(wire, "topic", needs.topic, needs.operations)
        if needs.dead_letter_topic:
            yield from _topic(wire, DEAD_LETTERS, needs.dead_letter_topic, needs.dead_letter_operations)
        if needs.group:
            yield from look_at_group(settings, wire, needs.group, seconds=seconds)


def topic_settings(settings: KafkaSettings, topic: str, *, seconds: float) -> Mapping[str, str] | None:
    """Return a topic's settings; None where this login may not see them. Raises ``TelemetryError``."""
    with _any_server(settings, seconds) as wire:
        return requests.settings_of(wire, topic)


@contextlib.contextmanager
def _any_server(settings: KafkaSettings, seconds: float) -> Iterator[Wire]:
    servers = settings.bootstrap_servers
    last: TelemetryError = BrokerUnavailableError(f"{settings.servers_text} does not answer")
    with contextlib.ExitStack() as opened:
        for server in servers:
            try:
                wire = opened.enter_context(connected(settings, server, seconds=seconds / len(servers)))
                break
            except TelemetryError as error:
                last = error
        else:
            raise last
        yield wire


def _topic(wire: Wire, name: str, topic: str, operations: tuple[Operation, ...]) -> Iterator[Finding]:
    state = requests.topic(wire, topic)
    right = f"{name}: right"
    if state.code in NOT_PERMITTED:
        yield not_tried(name, f"{topic} may not be looked at")
        yield _lacking(right, topic, operations)
        return
    if state.is_missing:
        yield failed(name, f"topic {topic} does not exist", "create it with flowise-telemetry topics create")
        yield not_tried(right, f"there is no topic {topic}")
        return
    if state.code and not state.partitions:
        yield failed(name, f"topic {topic} cannot be looked at (error {state.code} of Kafka's protocol)")
        return
    yield _partitions(name, topic, state)
    lacking = tuple(operation for operation in operations if operation not in (state.rights or ()))
    if state.rights is None:
        yield not_tried(right, "this broker does not tell rights")
    elif lacking:
        yield _lacking(right, topic, lacking)
    else:
        yield ok(right, f"{' and '.join(operations)} on {topic}")
    yield from _settings(wire, name, topic, state)
    if name == "topic":
        yield look_at_times(wire, state, topic)


def _lacking(right: str, topic: str, operations: tuple[Operation, ...]) -> Finding:
    doing = {"Write": f"delivery to {topic}", "Read": f"reading {topic}"}
    return failed(right, "; ".join(str(not_permitted("topic", doing[each], topic=topic)) for each in operations))


def _partitions(name: str, topic: str, state: TopicState) -> Finding:
    shown = f"{topic} has {state.partitions} partition{'' if state.partitions == 1 else 's'}"
    if state.without_leader:
        without = f"{shown}, {state.without_leader} of them without a leader"
        return failed(name, without, "start the brokers that are down")
    return ok(name, f"{shown}, each with a leader")


def _settings(wire: Wire, name: str, topic: str, state: TopicState) -> Iterator[Finding]:
    found = requests.settings_of(wire, topic)
    if not found:
        why = f"it needs DescribeConfigs on topic {topic}, which nothing but this look does"
        why = why if found is None else "this broker does not tell them"
        yield replication(name, topic, state, None)
        yield not_tried(f"{name}: settings", why)
        return
    least = found.get("min.insync.replicas")
    yield replication(name, topic, state, int(least) if least else None)
    yield retention(name, topic, found)
    if "max.message.bytes" in found:
        yield record_size(name, topic, int(found["max.message.bytes"]), holds_letters=name != "topic")
