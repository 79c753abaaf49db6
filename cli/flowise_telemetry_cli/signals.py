"""SIGTERM and Ctrl-C: at first the end of the process, then a request to stop, so that the current batch is finished.

The kernel drops a SIGTERM that the first process of a container has no handler for, so one stands before anything else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from flowise_telemetry_cli.errors import INCOMPLETE

__all__ = ["end_on_sigterm", "stopped_by_signals"]

logger = logging.getLogger("flowise_telemetry.cli")


def end_on_sigterm() -> None:
    """End the process on SIGTERM, also where it is the first one of a container."""

    def on_signal(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, on_signal)


@contextmanager
def stopped_by_signals(*, bound_seconds: float | None = None) -> Iterator[threading.Event]:
    """Yield an event that SIGTERM and SIGINT set. A second signal ends the command at once.

    ``bound_seconds``: end the process with status 3 if that has not happened by then, whatever it hangs in.
    """
    stop = threading.Event()
    last = threading.Timer(bound_seconds or 0.0, _end_now)
    last.daemon = True

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise click.Abort
        stop.set()
        if bound_seconds is not None:
            last.start()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        last.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_now() -> None:
    logger.critical("not ended in time after a signal: ending now; what is not committed is read again")
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(INCOMPLETE)
