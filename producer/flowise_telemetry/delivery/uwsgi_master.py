"""uWSGI's master, which loads the app and then forks its workers, by default without Python's hooks."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

__all__ = ["is_about_to_fork", "let_it_fork"]

_LOOK_SECONDS = 5.0  # rarely, because no thread may wake up in the very moment of the fork
_LONGEST_SECONDS = 60.0


def is_about_to_fork() -> bool:
    """Return True in a master that lacks workers, as it does at its start and, told ``--cheaper``, later.

    Unless told ``--py-call-uwsgi-fork-hooks``, uWSGI forks while another thread may hold the interpreter's lock, which
    then stays locked in the worker for ever (unbit/uwsgi#2387). A thread that imports a Kafka client holds it nearly
    all the time.
    """
    uwsgi = sys.modules.get("uwsgi")
    try:
        return uwsgi is not None and uwsgi.masterpid() == os.getpid() and not all(w["pid"] for w in uwsgi.workers())
    except Exception:  # another module of that name
        return False


def let_it_fork(hurries: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
    """Sleep until the master has its workers or the caller hurries, for a minute at most. For the sender's thread."""
    end = clock() + _LONGEST_SECONDS
    while is_about_to_fork() and clock() < end and not hurries():
        time.sleep(_LOOK_SECONDS)
