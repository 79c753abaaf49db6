"""A handle on the example app, which runs as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypedDict, cast

from flowise_telemetry import TelemetryError
from flowise_telemetry_cli.commands.demo import example_app

__all__ = ["AppProcess", "Seen"]

_ANSWER_SECONDS = 90.0
_END_SECONDS = 30.0


class Seen(TypedDict):
    """What the app sees of itself."""

    accepted: int
    sent: int
    recovered: int
    waiting: int
    on_disk: int
    threads: list[str]
    kafka_clients: list[str]


class AppProcess:
    """The example app with the folder as its home; a context manager that ends it, or kills it where that fails.

    ``settings`` are further variables. Nobody's telemetry settings apply, nor a ``.env`` of where the demo was started.
    """

    def __init__(self, folder: Path, servers: str, topic: str, settings: dict[str, str] | None = None) -> None:
        self._folder = folder
        kept = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name and name != "DO_NOT_TRACK"}
        self._environ = {
            **kept,
            "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": servers,
            "FLOWISE_TELEMETRY_TOPIC": topic,
            "FLOWISE_TELEMETRY_CONFIG_DIR": str(folder / "config"),
            "FLOWISE_TELEMETRY_SPOOL_DIR": str(folder / "spool"),
            **(settings or {}),
        }
        self._opened = ExitStack()

    def ask(self, line: str) -> Seen:
        """Have the app do what the line says, and return what it sees of itself then."""
        watchdog = threading.Timer(_ANSWER_SECONDS, self._process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            self._stdin.write(f"{line}\n")
            self._stdin.flush()
            answer = self._stdout.readline()
        except BrokenPipeError:
            answer = ""
        finally:
            watchdog.cancel()
        if not answer:
            self._said.seek(0)
            last = (self._said.read().splitlines() or ["it said nothing"])[-1]
            raise TelemetryError(f"the example app ended too early: {last}")
        seen: Seen = json.loads(answer)
        return seen

    def kill(self) -> None:
        """Kill it with SIGKILL, which it cannot see coming; return once it is gone."""
        self._process.kill()
        self._process.wait(_END_SECONDS)

    def end(self) -> None:
        """Have it end as an app does, which delivers what is possible."""
        self._stdin.close()
        self._process.wait(_END_SECONDS)

    def __enter__(self) -> Self:
        self._said: IO[str] = self._opened.enter_context((self._folder / "said").open("w+"))
        # As a script of its own, by -P without its folder: it imports the producer, and nothing of this program.
        command = [sys.executable, "-P", str(Path(example_app.__file__))]
        self._process = self._opened.enter_context(
            subprocess.Popen(  # noqa: S603 - this Python, and a file of ours
                command,
                cwd=self._folder,
                env=self._environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                text=True,
            )
        )
        self._stdin = cast("IO[str]", self._process.stdin)
        self._stdout = cast("IO[str]", self._process.stdout)
        self._opened.callback(self._process.kill)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()
