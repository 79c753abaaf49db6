"""A group that no broker coordinates yet is no fault, and no right that is missing."""

from __future__ import annotations

from contextlib import closing

from flowise_telemetry_transport import KafkaSettings
from flowise_telemetry_transport.diagnosis.groups import look_at_group
from flowise_telemetry_transport.diagnosis.probe import connected
from tests.transport.small_broker import SmallBroker
from tests.transport.small_topics import SmallTopics


def test_a_coordinator_that_is_not_there_yet() -> None:
    with closing(SmallBroker(topics=SmallTopics(coordinator_code=15))) as broker:
        settings = KafkaSettings(bootstrap_servers=(broker.server,))
        with connected(settings, broker.server, seconds=30) as wire:
            found = list(look_at_group(settings, wire, "ours", seconds=0))
    assert [(each.name, each.state) for each in found] == [("group", "warning"), ("group: right", "not tried")]
    assert "try again in a minute" in found[0].mend
