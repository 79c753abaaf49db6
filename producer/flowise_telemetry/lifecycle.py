"""Forks and the end of the process: hooks for every ``Telemetry`` in it."""

from __future__ import annotations

import _thread
import atexit
import contextlib
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Protocol

__all__ = [
    "connected",
    "connecting",
    "expect_forks",
    "flush_on_sigterm",
    "keep_forever",
    "loading",
    "notice_fork",
    "register",
    "watch_end",
]

EXIT_BUDGET_SECONDS = 1.0
"""Longest delay of the end of the process in which nothing gets on, however many ``Telemetry`` objects there are."""
EXIT_PATIENCE_SECONDS = 9.0
"""Longest delay beyond it while something does: a busy machine imports and connects slowly, and then delivers."""

_FORK_WAIT_SECONDS = 10.0
_CONNECT_WAIT_SECONDS = 1.0
_CHECK_SECONDS = 0.002
_BEGIN_SECONDS = 1.0
_WORKER_FINALIZERS = ("multiprocessing", "billiard")


class _Living(Protocol):
    def _after_fork_in_child(self, *, usable: bool) -> None: ...

    def _at_exit(self, budget_seconds: float) -> None: ...


_loading = threading.RLock()
_fork_is_clean = True
_hooked = False  # by the hook before a fork
_connecting: dict[object, float] = {}  # by client, the monotonic time until which a fork waits for it
_living: weakref.WeakSet[Any] = weakref.WeakSet()
_watched_in_pid = -1
_noticed: dict[int, Any] = {}  # by process, the lock of those who notice the fork that no hook told of
_began_in_pid = os.getpid()
_add_reference: Callable[[object], object] | None = None


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Make ``os.fork`` wait, at most 10 s, for code inside this context, because it holds locks.

    A module that another thread is importing during the fork stays locked in the child for ever (CPython's module
    locks), and so does any lock that OpenSSL holds at that moment.
    """
    with _loading:
        yield


def connecting(client: object) -> None:
    """Make ``os.fork`` wait until the client is ``connected``, at most for one second from now.

    While connecting, the client's threads resolve host names. glibc's ``getaddrinfo`` holds a lock meanwhile; forked
    then, the child would inherit it locked, and none of its look-ups would return.
    """
    _connecting[client] = time.monotonic() + _CONNECT_WAIT_SECONDS


def connected(client: object) -> None:
    """Let forks proceed: the client has its connection."""
    _connecting.pop(client, None)


def _before_fork() -> None:
    global _fork_is_clean, _hooked
    _hooked, _fork_is_clean = True, _loading.acquire(timeout=_FORK_WAIT_SECONDS)
    while max(list(_connecting.values()), default=0.0) > time.monotonic():
        time.sleep(_CHECK_SECONDS)
    _connecting.clear()


def _after_fork_in_parent() -> None:
    global _hooked  # noqa: PLW0603 - as above
    _hooked = False
    if _fork_is_clean:
        _loading.release()


def register(telemetry: _Living) -> None:
    """Call its hooks at forks and at the end of the process, as long as something else refers to it."""
    _living.add(telemetry)


def watch_end() -> None:
    """Close every ``Telemetry`` also where a process ends without exit handlers, as workers do.

    Call it in the process that sends: workers of multiprocessing forget what was registered before the fork.
    """
    global _watched_in_pid  # noqa: PLW0603 - one process, one set of exit handlers
    if _watched_in_pid == os.getpid():
        return
    _watched_in_pid = os.getpid()
    # Children of multiprocessing end by os._exit, which runs these finalizers only.
    for package in _WORKER_FINALIZERS:
        util = sys.modules.get(f"{package}.util")
        if util is not None and hasattr(util, "Finalize"):
            with contextlib.suppress(Exception):
                util.Finalize(None, _close_all, exitpriority=100)
    # Children of Celery's prefork pool end by os._exit, which runs not even those.
    signals = sys.modules.get("celery.signals")
    if signals is not None:
        with contextlib.suppress(Exception):
            signals.worker_process_shutdown.connect(_on_worker_process_shutdown, weak=False)


def _on_worker_process_shutdown(**_: object) -> None:
    _close_all()


def flush_on_sigterm() -> None:
    """Close every ``Telemetry`` when SIGTERM is about to end this process; its exit status stays the same.

    Does nothing if the app has a handler of its own, or off the main thread. A handler set later replaces this one.
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
    if sys.is_finalizing():  # a sub-interpreter that nobody ended: a thread that waits now never comes back
        return
    deadline = time.monotonic() + EXIT_BUDGET_SECONDS
    for telemetry in list(_living):
        telemetry._at_exit(max(0.0, deadline - time.monotonic()))


def _at_end() -> None:
    _close_all()
    _wait_for_beginnings()


def _wait_for_beginnings() -> None:
    """Let each thread begin that is being started, for a second at most.

    One that begins after the interpreter is gone is a segmentation fault (Python 3.11): on a busy machine a client, or
    the look for the reason of a failure, may just have started one.
    """
    # Not by ``enumerate``, whose lock may be held for ever after a fork that ran no hooks.
    being_started = getattr(threading, "_limbo", {})
    deadline = time.monotonic() + _BEGIN_SECONDS
    while being_started and time.monotonic() < deadline:
        time.sleep(_CHECK_SECONDS)


def _after_fork_in_child() -> None:
    global _fork_is_clean, _hooked, _loading, _began_in_pid  # noqa: PLW0603 - as above
    if not _hooked:  # no hook before the fork: uWSGI with --py-call-osafterfork, or one that is noticed later
        _fork_is_clean = _loading.acquire(blocking=False)
    _hooked = False
    _loading = threading.RLock()  # the old one may be held by a thread that the child does not have
    _connecting.clear()
    for telemetry in list(_living):
        telemetry._after_fork_in_child(usable=_fork_is_clean)
    _began_in_pid = os.getpid()


def notice_fork() -> None:
    """Do what the hooks do, in the child of a fork that ran none, as uWSGI's without ``--py-call-osafterfork``.

    If another thread was importing at that moment, nothing is sent in this process: events are counted as ``closed``.
    """
    pid = os.getpid()
    with _noticed.setdefault(pid, _thread.RLock()):
        if _began_in_pid == pid:
            return
        _after_fork_in_child()


def expect_forks() -> None:
    """Import what ``keep_forever`` needs; call it, within ``loading``, before a Kafka client is made.

    The child cannot import it: a thread of the parent that was importing the same leaves its module locked there.
    """
    global _add_reference  # noqa: PLW0603 - imported once, and inherited by the children
    with contextlib.suppress(ImportError):  # a Python built without ctypes
        import ctypes

        increment, wrap = ctypes.pythonapi.Py_IncRef, ctypes.py_object
        _add_reference = lambda inherited: increment(wrap(inherited))  # noqa: E731


def keep_forever(inherited: object) -> None:
    """Leak a reference, so that the object is never freed, not even at the end of the interpreter.

    In the child of a fork a Kafka client of the parent has no threads, and its sockets are still the parent's:
    librdkafka's destructor would wait for ever for threads that do not exist. Does nothing if no client was made.
    """
    if _add_reference is not None:
        _add_reference(inherited)


# At the import, because exit handlers run in reverse order: what those of the app send that were registered later is
# delivered.
atexit.register(_at_end)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
