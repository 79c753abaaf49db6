"""Tuning of a process that does nothing but move records, and its standard error."""

from __future__ import annotations

import gc
import io
import os
import sys
import threading
from contextlib import AbstractContextManager, suppress

__all__ = ["muted_native_code", "separate_stderr", "tune_gc"]

_YOUNG_OBJECTS = 50_000
_STDERR = 2


def tune_gc() -> None:
    """Let Python's garbage collector run less often. Call once, and only in processes that we own.

    Records are allocated by the ten thousand and never form reference cycles, but the collector would scan them again
    and again, which takes up to a tenth of the time.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 100)


class _Muting:
    """Descriptor 2, as it is and as it is muted; contexts of several threads may mute it at once."""

    def __init__(self) -> None:
        self._open_and_muted: tuple[int, int] | None = None
        self._contexts = 0
        self._lock = threading.Lock()

    def enable(self) -> None:
        """Let contexts mute the descriptor from now on."""
        with self._lock:
            self._open_and_muted = os.dup(_STDERR), os.open(os.devnull, os.O_WRONLY)

    def __enter__(self) -> None:
        with self._lock:
            self._contexts += 1
            if self._contexts == 1 and self._open_and_muted is not None:
                os.dup2(self._open_and_muted[1], _STDERR)

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._contexts -= 1
            if self._contexts == 0 and self._open_and_muted is not None:
                os.dup2(self._open_and_muted[0], _STDERR)


_MUTING = _Muting()


def separate_stderr() -> None:
    """Give ``sys.stderr`` a descriptor of its own, so that ``muted_native_code`` mutes nothing else.

    Call early, and only in processes that we own. Does nothing where ``sys.stderr`` was replaced.
    """
    stderr = sys.stderr
    with suppress(OSError, ValueError):  # it is closed, or has no descriptor
        if isinstance(stderr, io.TextIOWrapper) and stderr.fileno() == _STDERR:
            own = os.dup(_STDERR)
            sys.stderr = os.fdopen(own, "w", buffering=1, encoding=stderr.encoding, errors=stderr.errors)
            _MUTING.enable()


def muted_native_code() -> AbstractContextManager[None]:
    """Drop what libraries write to descriptor 2 inside the context, if ``separate_stderr`` was called.

    A panic in Rust prints its message there before it becomes an exception, with numbers out of the records.
    """
    return _MUTING
