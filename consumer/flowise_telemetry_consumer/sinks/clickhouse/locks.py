"""Named locks in the log: each lasts as long as its holder renews it, by the server's clock."""

from __future__ import annotations

import contextlib
import secrets
import threading

from flowise_telemetry_consumer.errors import SinkError, SinkInUseError
from flowise_telemetry_consumer.sinks.clickhouse.address import Address
from flowise_telemetry_consumer.sinks.clickhouse.log import Entry, append, read_log
from flowise_telemetry_consumer.sinks.clickhouse.server import Server

__all__ = ["LOCK_SECONDS", "LogLocks"]

LOCK_SECONDS = 15.0
"""A lock ends so long after its holder was last heard of."""

_RENEWALS = 4


class LogLocks:
    """Locks of one sink object. A thread with a connection of its own renews them."""

    def __init__(self, address: Address, table_set: str, *, lock_seconds: float = LOCK_SECONDS) -> None:
        self._address = address
        self._table_set = table_set
        self._seconds = lock_seconds
        self._held: dict[str, int] = {}
        self._server = Server(address)
        self._guard = threading.Lock()
        self._stop = threading.Event()
        self._renewing: threading.Thread | None = None

    @property
    def lock_ms(self) -> int:
        """Return the time after which a lock that was not renewed ends, in milliseconds."""
        return int(self._seconds * 1000)

    def take(self, name: str) -> None:
        """Acquire a lock, or renew it if this object holds it. Raises ``SinkInUseError`` if another holds it."""
        source = f"{self._table_set}/{name}"
        with self._guard:
            holder = self._held.get(source) or secrets.randbits(62)
            self._say("lock", source, holder)
            if read_log(self._server, lock_ms=self.lock_ms).holders.get(source) != holder:
                self._held.pop(source, None)
                self._say("unlock", source, holder)
                raise SinkInUseError(
                    f"{self._address.shown}: another process has {name!r}: wait for it or stop it; "
                    f"a lock ends {self._seconds:.0f} s after its holder"
                )
            self._held[source] = holder
        if self._renewing is None:
            self._stop.clear()
            self._renewing = threading.Thread(target=self._renew, name="clickhouse-locks", daemon=True)
            self._renewing.start()

    def release(self) -> None:
        """Release all locks. May be called again."""
        self._stop.set()
        if self._renewing is not None:
            self._renewing.join()
            self._renewing = None
        for source, holder in self._held.items():
            # Otherwise it ends by itself.
            with contextlib.suppress(SinkError):
                self._say("unlock", source, holder)
        self._held = {}
        self._server.close()

    def _renew(self) -> None:
        while not self._stop.wait(self._seconds / _RENEWALS):
            with self._guard, contextlib.suppress(SinkError):
                for source, holder in self._held.items():
                    self._say("lock", source, holder)

    def _say(self, kind: str, source: str, holder: int) -> None:
        entry = Entry(kind=kind, source=source, claim=holder)
        append(self._server, [entry], token=f"{kind}:{holder}:{secrets.randbits(62)}")
