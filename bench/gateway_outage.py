"""A gateway with a spool while no broker answers: ``BENCH_MINUTES=60 python -m bench.gateway_outage``.

It takes in as much as it can, one event a request, and each minute's line says how much that was, what memory the
process has and what the spool takes on disk. Any answer but 200 ends it. At the end the events in the spool are
counted: as many as were accepted.
"""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

from bench.gateway import KEY, cpu_seconds, memory_mib, request_of
from bench.http_load import answered_requests

MINUTES = int(os.environ.get("BENCH_MINUTES", "10"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "60"))
SPOOL_MAX_BYTES = 1 << 34


class Fresh(list[bytes]):
    """Requests that are made when they are sent, each with an event of its own."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first = first
        self.made = 0

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, number: int) -> bytes:  # type: ignore[override]  # no slices
        self.made = max(self.made, number + 1)
        return request_of(self.first + number, 1)


def free_port() -> int:
    """A port on which nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])


def spooled_events(folder: Path) -> int:
    """The events in a spool that no process uses."""
    events = 0
    for file in folder.glob("*.sqlite3"):
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            query = "SELECT count(*) FROM event WHERE event != 'stream_state'"
            events += database.execute(query).fetchone()[0]
    return events


def disk_mib(folder: Path) -> float:
    """What a folder takes on disk."""
    return sum(file.stat().st_size for file in folder.iterdir()) / 1_048_576


def wait_until_served(port: int) -> None:
    """Return once the gateway answers."""
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise SystemExit("error: the gateway does not start")


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        folder, port = Path(home) / "spool", free_port()
        environ = {
            **os.environ,
            "FLOWISE_TELEMETRY_CONFIG_DIR": home,
            "FLOWISE_TELEMETRY_GATEWAY_KEYS": KEY,
        }
        arguments = ["--address", f"127.0.0.1:{port}", "--bootstrap-servers", f"127.0.0.1:{free_port()}"]
        arguments += ["--spool-dir", str(folder), "--spool-max-bytes", str(SPOOL_MAX_BYTES)]
        code = "from flowise_telemetry_cli import main; main()"
        log = (Path(home) / "log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-c", code, "gateway", *arguments], env=environ, stdout=log, stderr=log
        )
        accepted = sent = 0
        try:
            wait_until_served(port)
            print(f"minute  events/s  CPU  resident  spool; at the start {memory_mib(process.pid):.0f} MiB")
            for minute in range(1, MINUTES + 1):
                before, requests = cpu_seconds(process.pid), Fresh(sent)
                answered = answered_requests(port, requests, seconds=SECONDS)
                accepted, sent = accepted + answered, sent + requests.made
                cpu = (cpu_seconds(process.pid) - before) / SECONDS
                resident, spool = memory_mib(process.pid), disk_mib(folder)
                print(
                    f"{minute:6} {answered / SECONDS:9,.0f} {cpu:4.0%} {resident:5.0f} MiB {spool:6,.0f} MiB",
                    flush=True,
                )
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            events = spooled_events(folder)
        finally:
            process.kill()
            process.wait()
            log.close()
        print(f"{accepted:,} events were answered 200, {sent:,} were sent; {events:,} are in the spool")
        if not accepted <= events <= sent:
            raise SystemExit("error: that does not add up")


if __name__ == "__main__":
    main()
