"""An app as a process of its own, whose end is what a test looks at, and the topic that it sends to."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowise_telemetry_schemas import catalog, codec
from flowise_telemetry_transport import open_reader
from tests.producer.samples import is_control
from tests.services.kafka import KafkaService

__all__ = [
    "CLIENTS",
    "CONNECTED",
    "HEAD",
    "LATE_SECONDS",
    "SAID_ONCE",
    "RunApp",
    "Topic",
    "assert_quiet",
    "assert_said_once",
    "assert_silent",
    "hanging",
]

CLIENTS = ["kafka-python", "librdkafka"]

HEAD = """
import os, sys, time, signal, threading
from flowise_telemetry import Telemetry, ToolCreated
def wait_until(condition):
    while not condition():  # the test ends a process that waits for ever
        time.sleep(0.005)
def event(number=0):
    return ToolCreated(tool_id=f"0e0f0a0b-1c2d-4e3f-8a9b-{number:012x}", tool_name="a_tool")
telemetry = Telemetry(app_version="3.0.1")
"""

# Loads the client and connects, so that the second at the end is not spent on that: on a busy machine, or with a broker
# that was just started, it would not be enough.
CONNECTED = "telemetry.send_telemetry(event())\nassert telemetry.flush(60)\n"

# The promise is a second, but on a busy machine an interpreter can take more to end. Waiting for a client takes 30.
LATE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class RunApp:
    """Runs an app in the folder to its end: ``before``, what every app here begins with, and its own ``code``."""

    folder: Path
    environ: Mapping[str, str]

    def __call__(
        self, code: str, *arguments: str, before: str = "", **environ: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", before + HEAD + code, *arguments],
            env={**self.environ, **environ},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )


class Topic:
    """A topic on the tests' broker, and what is in it."""

    def __init__(self, kafka: KafkaService) -> None:
        self._kafka = kafka
        self.name = kafka.new_topic()
        self.environ = {
            "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": ",".join(kafka.bootstrap_servers),
            "FLOWISE_TELEMETRY_TOPIC": self.name,
        }

    def records(self) -> list[dict[str, Any]]:
        reader = open_reader(self._kafka.settings())
        partitions = reader.partitions_of(self.name)
        ends = reader.end_offsets(partitions)
        reader.assign(dict.fromkeys(partitions, 0))
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + 20.0
        while any(reader.position(partition) < end for partition, end in ends.items()):
            assert time.monotonic() < deadline
            batch = reader.poll(timeout_seconds=1.0, max_records=1000)
            found += [codec.decode(record.value, catalog())[1] for record in batch if not is_control(record)]
        reader.close()
        return found

    def assert_streams(self, *lengths: int) -> None:
        """So many streams of these lengths, each without a gap, and no event twice."""
        records = self.records()
        assert len({record["eventId"] for record in records}) == len(records)
        counts = Counter(record["streamId"] for record in records)
        assert sorted(counts.values()) == sorted(lengths)
        for stream, count in counts.items():
            numbers = sorted(record["sequence"] for record in records if record["streamId"] == stream)
            assert numbers == list(range(count))


def assert_silent(done: subprocess.CompletedProcess[str]) -> None:
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


SAID_ONCE = re.compile(r"WARNING flowise_telemetry: [^\n]* \(said once, as the app configures no logging\)\n")
"""The one line that an app without logging gets, for the first thing that goes wrong."""


def assert_quiet(done: subprocess.CompletedProcess[str], *, processes: int = 1) -> None:
    """Nothing but the one line of each process, if there was reason for it: a full queue, a broker away."""
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert SAID_ONCE.sub("", done.stderr) == ""
    assert len(SAID_ONCE.findall(done.stderr)) <= processes


def assert_said_once(done: subprocess.CompletedProcess[str]) -> None:
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert SAID_ONCE.fullmatch(done.stderr)


@contextmanager
def hanging(folder: Path) -> Iterator[str]:
    """A server that takes connections and says nothing; it makes the file ``connected`` at the first one."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        held: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:  # closed
                    return
                (folder / "connected").touch()

        threading.Thread(target=take, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        for connection in held:
            connection.close()
        server.shutdown(socket.SHUT_RDWR)
