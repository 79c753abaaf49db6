"""The Kafka client of one sender: made, closed, and made anew."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from flowise_telemetry import lifecycle
from flowise_telemetry.delivery.aside import Aside, is_done
from flowise_telemetry_transport.errors import BrokerUnavailableError

if TYPE_CHECKING:
    from flowise_telemetry_transport.ports import RecordWriter

__all__ = ["Client"]

_CONNECT_SECONDS = 3.0


class Client:
    """Makes the client with ``make_writer``; ``aside``, on a thread of its own, where a spool is written meanwhile.

    On a busy machine the import of a Kafka client takes longer than memory lasts.
    """

    def __init__(self, make_writer: Callable[[], RecordWriter], *, aside: bool, ring: Callable[[], None]) -> None:
        self._make_writer = make_writer
        self._aside = aside
        self._ring = ring
        self._made: RecordWriter | None = None
        self._opening: Aside[None] | None = None
        self._closed = False
        self._connects_until = 0.0
        self.writer: RecordWriter | None = None
        """The client, once ``open`` has made it."""

    @property
    def opening(self) -> bool:
        """True while it is made on another thread, and until ``open`` is called after that."""
        return self._opening is not None

    @property
    def is_made(self) -> bool:
        """True if ``open`` has something to return that it had not before."""
        return is_done(self._opening)

    def open(self) -> bool:
        """Return True if the client is made now. Raises what ``make_writer`` raises."""
        if self.writer is None and self._opening is None:
            if not self._aside:
                self._make()
                return self._take()
            self._opening = Aside(self._make, self._ring)
        if is_done(self._opening):
            opening, self._opening = self._opening, None
            opening.result()
            return self._take()
        return False

    def connects(self, error: Exception) -> bool:
        """Return True if the error says only that a new client is not connected yet.

        Beside a spool a call may take a tenth of a second, in which a distant broker cannot have answered.
        """
        waits = self._aside and time.monotonic() < self._connects_until
        return waits and isinstance(error, BrokerUnavailableError)

    def _take(self) -> bool:
        self.writer, self._made = self._made, None
        self._connects_until = time.monotonic() + _CONNECT_SECONDS
        return True

    def _make(self) -> None:
        # No fork between making the client and keeping it: the child must never free it, see keep_forever.
        with lifecycle.loading():
            self._made = self._make_writer()
        if self._closed:  # meanwhile
            _close(self._made, 0.0)

    def close(self, timeout_seconds: float, *, for_good: bool = False) -> None:
        """Close the client, if there is one, and forget it unless ``for_good``: the next ``open`` makes another."""
        self._closed = for_good
        for writer in (self.writer, self._made):
            _close(writer, timeout_seconds)
        if not for_good:
            self.writer = None


def _close(writer: RecordWriter | None, timeout_seconds: float) -> None:
    if writer is not None:
        with contextlib.suppress(Exception):
            writer.close(timeout_seconds=timeout_seconds)
