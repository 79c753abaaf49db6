"""Wake-up of the sender thread by the app's threads and the Kafka client's."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable

__all__ = ["Wakeup"]


class Wakeup:
    """Ends the sleep of the one thread that calls ``wait``.

    ``ring`` may be called from any thread, from a signal handler and from a destructor: ``SimpleQueue.put`` is
    reentrant, while ``Condition`` and ``Event`` can deadlock there.
    """

    __slots__ = ("_bell", "idle")

    def __init__(self) -> None:
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.idle = False
        """True while the thread sleeps and nobody has rung yet. On hot paths ring only then: ``wait`` sees other work
        by itself.
        """

    def ring(self) -> None:
        """End the sleep, or the next one if the thread is awake."""
        self.idle = False
        self._bell.put(None)

    def wait(self, timeout_seconds: float | None, *, has_work: Callable[[], bool]) -> None:
        """Sleep until someone rings or the time is up (None: no limit). Return at once if there is work."""
        self.idle = True
        # Asked only now: whoever brought work before the flag was up did not ring.
        if not has_work():
            with contextlib.suppress(queue.Empty):
                self._bell.get(timeout=timeout_seconds)
        self.idle = False
        with contextlib.suppress(queue.Empty):
            while True:
                self._bell.get_nowait()
