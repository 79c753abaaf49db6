"""Run a real program, with a topic for what it sends and a server for what posthog-python sends beside it."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.apps.arrivals import Arrivals, PosthogServer, arrivals, posthog_server
from tests.apps.interpreters import has
from tests.services.kafka import KafkaService

__all__ = ["App", "app"]

HERE = Path(__file__).parent
END_SECONDS = 120.0
"""How long a server may take to end. The promise is seconds; a busy machine ends several workers one after another."""


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

    def arrived(self, program: str, sent: int, request: pytest.FixtureRequest) -> Arrivals:
        """Read the topic, and put a row into the table."""
        found = arrivals(self.kafka, self.topic)
        peer = "" if self.posthog is None else str(len(self.posthog.numbers))
        row = (program, _version(self.python), self.client, sent, len(found.numbers), peer)
        request.node.user_properties.append(("arrived", row))
        return found


@contextmanager
def app(kafka: KafkaService, folder: Path, python: str, client: str, **environ: str) -> Iterator[App]:
    """Yield an app; posthog-python sends beside it where it is installed."""
    topic = kafka.new_topic()
    with posthog_server() as server:
        beside = server if has(python, "posthog") else None
        yield App(
            python,
            client,
            {
                **os.environ,
                **environ,
                **({"APP_POSTHOG": server.address} if beside else {}),
                "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": ",".join(kafka.bootstrap_servers),
                "FLOWISE_TELEMETRY_TOPIC": topic,
                "FLOWISE_TELEMETRY_CONFIG_DIR": str(folder / "config"),
                "FLOWISE_TELEMETRY_CLIENT": client,
                "PYTHONPATH": os.pathsep.join(filter(None, [environ.get("PYTHONPATH", ""), str(HERE)])),
            },
            folder,
            kafka,
            topic,
            beside,
        )


@functools.cache
def _version(python: str) -> str:
    code = "import platform; print(platform.python_version())"
    return subprocess.check_output([python, "-c", code], text=True).strip()
