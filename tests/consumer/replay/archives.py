"""A topic of bad and good events, its archives, and a topic that they are copied to."""

from __future__ import annotations

from flowise_telemetry_consumer.replay import TopicSink
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.types import Record, TopicPartition
from tests.consumer.world import World

COPY = "copy"


EVENTS = 60


def topic(world: World) -> TopicSink:
    return TopicSink(world.broker.open_writer(), COPY, catalog())


def records(world: World, name: str) -> list[Record]:
    logs = [world.broker.log(TopicPartition(name, partition)) for partition in range(2)]
    return [log.records[offset] for log in logs for offset in sorted(log.records)]
