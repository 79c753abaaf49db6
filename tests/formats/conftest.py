"""What a version kept, and a broker with its topics."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import pytest

from flowise_telemetry_transport import InMemoryBroker, OutgoingRecord, TopicSpec
from tests.formats.make import DLQ, TOPIC

VERSIONS = sorted(folder.name for folder in Path(__file__).parent.iterdir() if folder.name[0].isdigit())


@pytest.fixture(params=VERSIONS)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of what a version kept."""
    return shutil.copytree(Path(__file__).parent / request.param, tmp_path / "kept")


def bytes_of(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


@pytest.fixture
def broker(kept: Path) -> InMemoryBroker:
    """A broker with the topics as they were."""
    made = InMemoryBroker(default_partitions=None)
    writer = made.open_writer()
    for topic, partitions in ((TOPIC, 2), (DLQ, 1)):
        made.open_admin().create_topic(TopicSpec(topic, partitions))
        for line in (kept / f"{topic}.jsonl").read_text().splitlines():
            record = json.loads(line)
            writer.send(
                OutgoingRecord(
                    topic,
                    bytes_of(record["key"]),
                    bytes_of(record["value"]),
                    tuple((name, bytes_of(value)) for name, value in record["headers"]),
                    timestamp_ms=record["timestamp_ms"],
                    partition=record["partition"],
                ),
                lambda delivery, error: None,
            )
    writer.flush(timeout_seconds=1.0)
    return made
