"""State of the process for systemd, by the protocol of sd_notify(3): ready, alive, stopping, and what it waits for."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

__all__ = ["Systemd", "watched_by"]

logger = logging.getLogger("flowise_telemetry.cli")

_READY = "READY=1"
_EVERY_SECONDS = 1.0
_SEND_SECONDS = 1.0
_MORE_TIME_US = 30_000_000
"""Time to start that a process which is alive asks for, from now on, each time."""

_WhyNot = Callable[[], str | None]


class Systemd:
    """Messages to the service manager that ``NOTIFY_SOCKET`` names; without one, nothing is done.

    While ``why_not_alive`` returns None, each message holds the watchdog off. ``READY=1`` is sent once
    ``why_not_ready`` returns None; until then more time to start is asked for, so that a consumer that stands by is not
    restarted. What it waits for is its status.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        why_not_alive: _WhyNot = lambda: None,
        why_not_ready: _WhyNot,
        stop: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        name = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name  # a name in the abstract namespace
        self._why_not_alive = why_not_alive
        self._why_not_ready = why_not_ready
        self._stop = stop
        self._monotonic = monotonic
        self._told_at = -_EVERY_SECONDS
        self._ready = False
        self._stopping = False
        self._lost = False
        self.every_seconds = min(_EVERY_SECONDS, _watchdog_seconds(environ) / 3)

    @property
    def is_there(self) -> bool:
        """True if a service manager wants to be told."""
        return bool(self._address)

    def look(self) -> None:
        """Tell the state if it is time to, or if the process begins to stop; the loop that has to be alive calls it."""
        now = self._monotonic()
        stops = self._stop.is_set() and not self._stopping
        if self._address and (stops or now - self._told_at >= self.every_seconds):
            self._told_at = now
            self._stopping = self._stop.is_set()
            state = self._state()
            self._lost = not self._sent(state)
            self._ready |= _READY in state and not self._lost

    def _state(self) -> list[str]:
        dead = self._why_not_alive()
        waits = dead or self._why_not_ready()
        lines = [f"STATUS={waits or 'ready'}"]
        if dead is None:
            lines.append("WATCHDOG=1")
            if waits is None and not self._ready:
                lines.append(_READY)
            elif not self._ready:
                lines.append(f"EXTEND_TIMEOUT_USEC={_MORE_TIME_US}")
        if self._stopping:
            lines.append("STOPPING=1")
        return lines

    def _sent(self, lines: list[str]) -> bool:
        """Send a message; return False, after one WARNING, if nobody took it."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_SEND_SECONDS)
                sender.sendto("\n".join(lines).encode(), self._address)
        except (OSError, AttributeError) as error:  # Windows has no AF_UNIX
            if not self._lost:
                logger.warning("NOTIFY_SOCKET does not take the state of this process: %s", error)
            return False
        return True


def _watchdog_seconds(environ: Mapping[str, str]) -> float:
    """Return the time after which systemd restarts a process that it hears nothing of; infinite without one."""
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 1_000_000 if text.isdecimal() and int(text) else float("inf")


@contextmanager
def watched_by(systemd: Systemd) -> Iterator[None]:
    """Have a thread look as often as systemd wants to be told; look once more at the end."""
    if not systemd.is_there:
        yield
        return
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(systemd.every_seconds):
            systemd.look()

    thread = threading.Thread(target=watch, name="systemd", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        systemd.look()
