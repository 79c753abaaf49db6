"""Wake-up of the sender thread by the app's threads."""

from __future__ import annotations

import _thread
import time
from collections.abc import Callable

__all__ = ["Wakeup"]

_LONGEST_SLEEP_SECONDS = 1.0


class Wakeup:
    """Ends the sleep of the one thread that calls ``wait``.

    ``ring`` may be called from any thread, from a signal handler and from a destructor: it takes no lock.

    Nothing native is made before the first ``wait``. gevent and eventlet replace ``_thread.allocate_lock`` in place, at
    any time up to then: a lock that was made before would stop the one thread that runs all greenlets.
    """

    __slots__ = ("_bell", "_linger_seconds", "idle")

    def __init__(self, linger_seconds: float = 0.0) -> None:
        self._linger_seconds = linger_seconds
        self._bell: dict[str, _thread.LockType] = {}
        self.idle = False
        """True while the thread sleeps and nobody has rung yet. On hot paths ring only then: ``wait`` sees other work
        by itself.
        """

    def ring(self) -> None:
        """End the sleep, if there is one."""
        # Only one thread gets the bell, so it is released once. It is not given back: each sleep has its own.
        bell = self._bell.pop("bell", None)
        if bell is not None:
            bell.release()
        self.idle = False

    def linger(self) -> None:
        """Let other threads and greenlets work, for ``linger_seconds`` at least: what they bring is done together."""
        time.sleep(self._linger_seconds)

    def give_way(self) -> None:
        """Let other threads and greenlets work, without waiting for what they bring."""
        time.sleep(0.0)

    def wait(self, timeout_seconds: float | None, *, has_work: Callable[[], bool]) -> None:
        """Sleep until someone rings or the time is up, at most for a second. Return at once if there is work."""
        bell = _thread.allocate_lock()
        bell.acquire()
        self._bell["bell"] = bell
        self.idle = True
        # Asked only now: whoever brought work before the flag was up did not ring.
        if not has_work():
            # A second at most, because an exception of a signal handler can end a ``ring`` halfway.
            longest = _LONGEST_SLEEP_SECONDS if timeout_seconds is None else timeout_seconds
            rung = bell.acquire(timeout=min(max(0.0, longest), _LONGEST_SLEEP_SECONDS))
            self.idle = False
            if rung and self._linger_seconds:
                self.linger()
        self.idle = False
        self._bell.pop("bell", None)
