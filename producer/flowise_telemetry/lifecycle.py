"""What happens to every ``Telemetry`` of a process when it forks and when it ends."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Protocol

__all__ = ["connected", "connecting", "flush_on_sigterm", "keep_forever", "loading", "register", "watch_exit"]

EXIT_BUDGET_SECONDS = 1.0
"""All the time that the end of the process is delayed, however many ``Telemetry`` objects there are."""

_FORK_WAIT_SECONDS = 10.0
_CONNECT_WAIT_SECONDS = 1.0
_CONNECT_LOOK_SECONDS = 0.002
_WORKER_FINALIZERS = ("multiprocessing", "billiard")  # billiard: Celery's


class _Living(Protocol):
    def _after_fork_in_child(self, *, usable: bool) -> None: ...

    def _at_exit(self, budget_seconds: float) -> None: ...


_loading = threading.RLock()
_fork_is_clean = True
_connecting: dict[object, float] = {}  # until when a fork waits for each
_living: weakref.WeakSet[Any] = weakref.WeakSet()
_watched_in_pid = -1


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Within it our threads do what must not be cut in two by a fork, which waits for its end, at most ten seconds.

    A module that another thread was importing when the process forked stays locked in the child for ever (CPython), and
    so do the locks that OpenSSL takes for a moment.
    """
    with _loading:
        yield


def connecting(client: object) -> None:
    """Has a fork wait until the client is ``connected``, at most for the second that follows.

    The client's threads look up addresses meanwhile. glibc's ``getaddrinfo`` takes a lock that a fork in that moment
    would leave held in the child, where no look-up would ever end.
    """
    _connecting[client] = time.monotonic() + _CONNECT_WAIT_SECONDS


def connected(client: object) -> None:
    """Ends what ``connecting`` began."""
    _connecting.pop(client, None)


def _before_fork() -> None:
    global _fork_is_clean  # noqa: PLW0603 - read by the two hooks that follow on the same thread
    _fork_is_clean = _loading.acquire(timeout=_FORK_WAIT_SECONDS)
    while max(list(_connecting.values()), default=0.0) > time.monotonic():
        time.sleep(_CONNECT_LOOK_SECONDS)
    _connecting.clear()


def _after_fork_in_parent() -> None:
    if _fork_is_clean:
        _loading.release()


def register(telemetry: _Living) -> None:
    """Tells it of forks and of the end, for as long as it is referenced elsewhere or has a thread."""
    _living.add(telemetry)


def watch_exit() -> None:
    """Has ``close`` called at the end of this process, before the Kafka client's own exit handlers.

    Exit handlers run in the reverse order of their registration, and kafka-python registers one that throws away what
    is not sent: so this is called again when the client is there.
    """
    global _watched_in_pid  # noqa: PLW0603 - one process, one set of exit handlers
    atexit.unregister(_close_all)
    atexit.register(_close_all)
    if _watched_in_pid == os.getpid():
        return
    _watched_in_pid = os.getpid()
    # Children of multiprocessing and of Celery's prefork leave through os._exit and run only these.
    for package in _WORKER_FINALIZERS:
        util = sys.modules.get(f"{package}.util")
        if util is not None and hasattr(util, "Finalize"):
            with contextlib.suppress(Exception):
                util.Finalize(None, _close_all, exitpriority=100)


def flush_on_sigterm() -> None:
    """Has ``close`` called when SIGTERM would end this process, which it then does with the same exit status.

    Does nothing where the app has a handler of its own, or off the main thread. A handler set later replaces this one.
    """
    import signal

    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _end_on_sigterm)


def _end_on_sigterm(number: int, _frame: object) -> None:
    import signal

    _close_all()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _close_all() -> None:
    deadline = time.monotonic() + EXIT_BUDGET_SECONDS
    for telemetry in list(_living):
        telemetry._at_exit(max(0.0, deadline - time.monotonic()))


def _after_fork_in_child() -> None:
    global _loading  # noqa: PLW0603 - the old lock may be held by a thread that is not there
    _loading = threading.RLock()
    _connecting.clear()
    for telemetry in list(_living):
        telemetry._after_fork_in_child(usable=_fork_is_clean)


def keep_forever(inherited: object) -> None:
    """Takes a reference that is never given back, not even at the end of the interpreter.

    A Kafka client that was made before a fork has neither its threads nor the right to its sockets in the child:
    librdkafka's destructor would wait there for ever for threads that do not exist.
    """
    import ctypes

    increment: Callable[[Any], None] = ctypes.pythonapi.Py_IncRef
    increment(ctypes.py_object(inherited))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
