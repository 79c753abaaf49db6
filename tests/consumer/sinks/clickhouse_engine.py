"""ClickHouse's engine in the tests' own process."""

from __future__ import annotations

import uuid
from pathlib import Path

from flowise_telemetry_consumer.sinks.clickhouse.address import address_of
from flowise_telemetry_consumer.sinks.clickhouse.server import Server


class Engine:
    """ClickHouse in this process, which keeps running from one test to the next.

    Starting and ending it is no part of what is tested, and what it does worst: once in some hundred times it crashes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: Server | None = None

    def database(self) -> str:
        """Return the URL of a database that is not there yet."""
        url = f"clickhouse:///{self._folder}?database=test_{uuid.uuid4().hex}"
        if self._running is None:
            self._running = Server(address_of(f"clickhouse:///{self._folder}"))
            self._running.execute("SELECT 1")
        return url

    def end(self) -> None:
        """Let go of the folder: a process has one at a time."""
        if self._running is not None:
            self._running.close()
            self._running = None
