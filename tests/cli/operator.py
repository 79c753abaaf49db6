"""An operator: one topic, one folder, one environment for one command after the other."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from flowise_telemetry_schemas import event_to_json
from tests.cli.in_process import run_command
from tests.cli.program import Finished, start
from tests.schemas.records import EVENTS
from tests.services.kafka import KafkaService

__all__ = ["LINES", "TOTALS", "Operator", "wait_until"]

LINES = b"".join(json.dumps(event_to_json(event)).encode() + b"\n" for event in EVENTS)
TOTALS = {
    "assistant_created": 1,
    "chatflow_created": 1,
    "prediction_sent": 1,
    "tool_created": 1,
    "vector_upserted": 2,
}


class Operator:
    """One topic, one folder, one environment."""

    def __init__(self, kafka: KafkaService, folder: Path, topic: str) -> None:
        self.folder = folder
        self.environ = {
            "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": ",".join(kafka.bootstrap_servers),
            "FLOWISE_TELEMETRY_TOPIC": topic,
            "FLOWISE_TELEMETRY_CONSUME_GROUP": kafka.new_group(),
        }

    def run(self, *arguments: str, stdin: bytes = b"", **variables: str) -> Finished:
        return run_command(*arguments, folder=self.folder, stdin=stdin, env={**self.environ, **variables})

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return start(*arguments, folder=self.folder, env=self.environ)

    def rows(self, database: str) -> dict[str, int]:
        connection = sqlite3.connect(self.folder / database)
        try:
            return {event: connection.execute(f"select count(*) from {event}").fetchone()[0] for event in TOTALS}
        finally:
            connection.close()


def wait_until(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
