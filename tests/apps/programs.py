"""Run a real program, with a topic for what it sends and a server for what posthog-python sends beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.apps.arrivals import Arrivals, PosthogServer, arrivals, posthog_server
from tests.apps.interpreters import has, version
from tests.services.kafka import KafkaService

__all__ = ["HERE", "App", "open_app"]

HERE = Path(__file__).parent
END_SECONDS = 180.0
"""How long a program may take to end. The promise is seconds; a busy machine ends several workers one after another."""


@dataclass(slots=True)
class App:
    """An environment to run programs in, and what came out of them."""

    python: str
    client: str
    environ: dict[str, str]
    folder: Path
    kafka: KafkaService
    topic: str
    posthog: PosthogServer | None
    rows: list[tuple[str, str, str, int, int, str]] = field(default_factory=list)

    @contextmanager
    def running(self, *command: str, end: signal.Signals = signal.SIGTERM) -> Iterator[subprocess.Popen[str]]:
        """Run until the block ends, then end it by the signal and wait."""
        with (self.folder / "log").open("a") as log:
            process = subprocess.Popen(
                command, env=self.environ, cwd=self.folder, stdout=log, stderr=log, text=True, start_new_session=True
            )
            try:
                yield process
                process.send_signal(end)
                process.wait(END_SECONDS)
            except BaseException:
                sys.stderr.write((self.folder / "log").read_text()[-5_000:])
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(END_SECONDS)
                raise

    def run(self, script: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run one of the scripts of this folder to its end."""
        return subprocess.run(
            [self.python, str(HERE / script), *arguments],
            env={**self.environ, **environ},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=END_SECONDS,
            check=False,
        )

    def go_without_posthog(self) -> None:
        """Let the producer send alone, because posthog-python does not survive the program."""
        self.posthog = None
        self.environ.pop("APP_POSTHOG", None)

    def wait_for(self, number: int) -> None:
        """Wait until an event has arrived."""
        deadline = time.monotonic() + END_SECONDS
        while number not in arrivals(self.kafka, self.topic).numbers:
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def arrived(self, program: str, sent: int) -> Arrivals:
        """Read the topic, and put a row into the table. Fails if an event is there twice, or a stream has a gap."""
        found = arrivals(self.kafka, self.topic)
        if len(found.numbers) < sent and (self.folder / "log").exists():
            sys.stderr.write((self.folder / "log").read_text()[-5_000:])  # pytest shows it where the test fails
        peer = "" if self.posthog is None else str(len(self.posthog.numbers))
        self.rows.append((program, version(self.python), self.client, sent, len(found.numbers), peer))
        return found


@contextmanager
def open_app(kafka: KafkaService, folder: Path, python: str, client: str) -> Iterator[App]:
    """Yield an environment of its own; posthog-python sends beside the producer where it is installed."""
    topic = kafka.new_topic()
    with posthog_server() as server:
        beside = server if has(python, "posthog") else None
        environ = {
            **os.environ,
            "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": ",".join(kafka.bootstrap_servers),
            "FLOWISE_TELEMETRY_TOPIC": topic,
            "FLOWISE_TELEMETRY_CONFIG_DIR": str(folder / "config"),
            "FLOWISE_TELEMETRY_CLIENT": client,
            "PYTHONPATH": str(HERE),
            **({"APP_POSTHOG": server.address} if beside else {}),
        }
        yield App(python, client, environ, folder, kafka, topic, beside)
