"""gevent and eventlet, whenever they patch the standard library: everything arrives and no greenlet waits for us."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.apps.interpreters import INTERPRETERS, require
from tests.services.kafka import KafkaService

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parent / "greenlets.py"
MOMENTS = [
    "before import",
    "before Telemetry()",
    "after Telemetry()",
    "after a send",
    "in a child of a preloaded parent",
    "in a child of a parent that sent",
]
EVENTS = 50

# What stood still did so for 30 s and more. Importing a Kafka client keeps a busy machine for a second or two.
LONGEST_STANDSTILL_SECONDS = 5.0


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("library", ["gevent", "eventlet"])
@pytest.mark.parametrize("python", INTERPRETERS)
def test_every_event_arrives_and_other_greenlets_go_on(
    kafka: KafkaService, tmp_path: Path, python: str, library: str, moment: str, client: str
) -> None:
    require(python, library, "confluent_kafka", "flowise_telemetry")
    environ = {
        **os.environ,
        "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": ",".join(kafka.bootstrap_servers),
        "FLOWISE_TELEMETRY_TOPIC": kafka.new_topic(),
        "FLOWISE_TELEMETRY_CONFIG_DIR": str(tmp_path),
        "FLOWISE_TELEMETRY_CLIENT": client,
    }
    done = subprocess.run(
        [python, str(PROGRAM), library, moment, str(EVENTS)],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["sent"], found["flushed"], found["dropped"]) == (EVENTS, True, {}), done.stderr
    assert found["longest"] < LONGEST_STANDSTILL_SECONDS
