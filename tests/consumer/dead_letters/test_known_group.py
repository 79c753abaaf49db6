"""The check that a sink is the one whose dead letters are redriven."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowise_telemetry_consumer.dead_letters.known_group import require_known_group
from flowise_telemetry_consumer.sinks import Batch
from flowise_telemetry_schemas import ConfigurationError, catalog
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.sinks.roles import open_claimed

TP0 = TopicPartition("flowise.telemetry.events", 0)


@pytest.mark.parametrize(
    ("source", "group", "knows"),
    [
        ("telemetry", "telemetry", True),
        ("team/telemetry", "team/telemetry", True),
        ("team/telemetry", None, True),
        ("team/telemetry", "telemetry", False),
        ("replay/1f2e3d4c/1", None, False),
        ("archive/1f2e3d4c", None, False),
    ],
)
def test_a_consumer_group_is_told_from_a_replay(tmp_path: Path, source: str, group: str | None, knows: bool) -> None:
    sink = open_claimed(f"sqlite:///{tmp_path / 'events'}")
    sink.prepare(catalog())
    sink.claim(source, [TP0])
    sink.write(Batch(frames={}, offsets={TP0: 1}, source=source))
    if knows:
        require_known_group(sink, group)
    else:
        with pytest.raises(ConfigurationError, match="does not know"):
            require_known_group(sink, group)
    sink.close()
