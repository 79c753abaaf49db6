"""Apps and consumers as processes, started as their users start them."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flowise_telemetry.ledger import LedgerEntry, read_ledger
from tests.chaos.checker import Ended
from tests.services.standstill import Standstill

__all__ = [
    "NO_ANSWER",
    "STEADY_PER_SECOND",
    "WAIT_SECONDS",
    "App",
    "ConsumerProcess",
    "NotTriedError",
    "TrialError",
    "tail",
    "wait_for",
]

ROOT = Path(__file__).parents[2]
WAIT_SECONDS = 300.0
"""Longest wait for anything: a bound for a hang on a busy machine, not a measure."""
NO_ANSWER = "no answer"
STEADY_PER_SECOND = 250
"""Events, so that offsets wait to be committed at the moment of a fault, whenever it comes."""
_LOOK_SECONDS = 0.1


class TrialError(Exception):
    """What a trial waits for does not come, or a process ended as it may not."""


class NotTriedError(Exception):
    """This machine cannot do what a scenario needs."""


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Return when the condition holds; raise ``TrialError``."""
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise TrialError(f"not within {WAIT_SECONDS:.0f} s: {what}")
        time.sleep(_LOOK_SECONDS)


class App(Standstill):
    """One process of an app; ``folder`` has its ledger, shared by those that run in it one after the other."""

    _process: subprocess.Popen[str]

    def __init__(
        self, folder: Path, env: Mapping[str, str], *, first: int, clock_seconds: float, buffer_max_events: int
    ) -> None:
        self.folder = folder
        self.ended: tuple[str, Ended] | None = None
        self._waiting = 0
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.chaos.app"),
                    *map(str, (folder, first, clock_seconds, buffer_max_events)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**env, "FLOWISE_TELEMETRY_LOG": str(folder / "ledger")},
                cwd=ROOT,
                text=True,
            )
        self._answer()

    def offer(self, count: int, *, per_second: float = 1_000.0) -> None:
        """Let it offer events, and return at once."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count} {per_second}\n")
        self._process.stdin.flush()
        self._waiting += 1

    def wait(self) -> None:
        """Return when it has offered all that it was told to."""
        while self._waiting:
            self._answer()
            self._waiting -= 1

    def close(self) -> None:
        """Let it end by itself, and keep its counts."""
        self.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        told = self._answer()
        self._process.wait(WAIT_SECONDS)
        if told["is_whole"]:  # else a month ended meanwhile, and there were two streams
            self.ended = told["stream"], Ended(told["offered"], told["dropped"], told["spooled"])

    def kill(self) -> None:
        """End it at once."""
        super().kill()
        self._end()

    def terminate(self) -> None:
        """SIGTERM."""
        self._process.terminate()
        self._end()

    def offered(self) -> set[int]:
        """Return the numbers that it, and those before it in this folder, offered."""
        with contextlib.suppress(FileNotFoundError):
            text = (self.folder / "offered").read_text()
            return {int(line) for line in text.splitlines(keepends=True) if line.endswith("\n")}
        return set()

    def ledger(self) -> Iterator[LedgerEntry]:
        """Yield what Kafka acknowledged."""
        with contextlib.suppress(FileNotFoundError):
            yield from read_ledger(self.folder / "ledger")

    def _end(self) -> None:
        self._process.wait(WAIT_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise TrialError(f"an app ended: {tail(self.folder / 'log')}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class ConsumerProcess(Standstill):
    """``flowise-telemetry consume``, its log in a file."""

    _process: subprocess.Popen[bytes]

    def __init__(self, log: Path, env: Mapping[str, str], *arguments: str) -> None:
        self.log = log
        command = "import sys; from flowise_telemetry_cli import main; sys.exit(main())"
        with log.open("ab") as file, log.with_suffix(".out").open("ab") as out:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-c", command, "consume", "--batch-seconds", "0.2", "--batch-rows", "500"),
                    *("--http-address", "127.0.0.1:0", "--json", *arguments),
                ],
                stdout=out,
                stderr=file,
                stdin=subprocess.DEVNULL,
                env=dict(env),
                cwd=log.parent,
            )

    @property
    def has_begun(self) -> bool:
        """Whether it has logged anything."""
        return bool(self.log.stat().st_size)

    def says(self, text: str) -> bool:
        """Whether a line of its log has this text."""
        return text in self.log.read_text(errors="replace")

    def ready(self) -> str:
        """Return ``ok``, or why it is not ready; ``no answer`` while it serves nothing."""
        return self._get("/readyz") or NO_ANSWER

    def alive(self) -> str:
        """Return ``ok``, or why it does not count as alive."""
        return self._get("/healthz") or NO_ANSWER

    def terminate(self) -> int:
        """SIGTERM; return its exit status. Raises ``TrialError`` if it hangs."""
        self._process.send_signal(signal.SIGTERM)
        wait_for(lambda: not self.is_up, "the consumer's end after SIGTERM")
        return self._process.returncode

    def _get(self, path: str) -> str:
        address = re.findall(r"serving (http://\S+)/metrics", self.log.read_text(errors="replace"))
        if not address:
            return ""
        connection = http.client.HTTPConnection(urlsplit(address[-1]).netloc, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode().strip()
        except (OSError, http.client.HTTPException):
            return ""
        finally:
            connection.close()


def tail(log: Path) -> str:
    return log.read_text(errors="replace").strip()[-800:]
