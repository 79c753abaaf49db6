"""The progress display of long work: rewritten in place on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.terminal import Bar, Terminal, open_terminal
from flowise_telemetry_schemas.printable import printable

__all__ = ["ProgressDisplay", "Status", "estimate_text", "percent", "rate_text", "time_left_text"]

_TERMINAL_EVERY_SECONDS = 0.1
_LINES_EVERY_SECONDS = 10.0
_EARLY_SECONDS = 3.0
_EARLY_PART = 0.01
_GUESS_SECONDS = 60.0
_LONGEST_SECONDS = 48 * 3_600.0

_State = TypeVar("_State")


@dataclass(frozen=True, slots=True)
class Status:
    """State of the work at one moment: a line, and bars that only a terminal shows."""

    text: str
    bars: Sequence[Bar] = ()


class ProgressDisplay(Generic[_State]):
    """A context manager that shows the state of long work on stderr; its last state stays there.

    ``status`` turns a state and the seconds since the start into what is shown; it is called only when a display is
    due. With ``document``, JSON objects are printed instead of text, on a terminal too.
    """

    def __init__(
        self,
        status: Callable[[_State, float], Status],
        *,
        document: Callable[[_State, float], Mapping[str, object]] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._status = status
        self._document = document
        self._monotonic = monotonic
        self._terminal: Terminal | None = None
        self._every_seconds = _LINES_EVERY_SECONDS
        self._began = self._shown_at = monotonic()
        self._latest: _State | None = None

    def show(self, state: _State) -> None:
        """Show the state, unless one was shown just now; call at every change."""
        self._latest = state
        now = self._monotonic()
        if now - self._shown_at >= self._every_seconds:
            self._shown_at = now
            self._write(state, now - self._began)

    def _write(self, state: _State, seconds: float) -> None:
        if self._document is not None:
            echo(json.dumps(self._document(state, seconds)), err=True)
            return
        status = self._status(state, seconds)
        if self._terminal is not None:
            self._terminal.show(printable(status.text), status.bars)
        else:
            echo(status.text, err=True)

    def __enter__(self) -> Self:
        self._began = self._shown_at = self._monotonic()
        if self._document is None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            self._terminal = open_terminal()
        if self._terminal is not None:
            self._every_seconds = _TERMINAL_EVERY_SECONDS
            self._shown_at = -math.inf  # the first state at once
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._latest is not None:
            self._write(self._latest, self._monotonic() - self._began)
        if self._terminal is not None:
            self._terminal.close()


def percent(done: int, total: int) -> int:
    """Return the whole percentage; an empty total counts as done."""
    return 100 * done // total if total else 100


def rate_text(done: int, seconds: float) -> str:
    """Return the number done per second; empty before the first."""
    return f"{int(done / seconds):,}/s" if done and seconds > 0 else ""


def time_left_text(left: int, done: int, seconds: float) -> str:
    """Return the time left at the rate so far; empty when done or unknown."""
    if not left or not done or seconds <= 0:
        return ""
    rest = int(left * seconds / done) + 1
    return f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02} left"


def estimate_text(left: int, done: int, seconds: float) -> str:
    """Return the time left, or nothing where that would be a guess.

    The rate of the first moments says nothing, and nobody plans with an end that is days away.
    """
    is_begun = seconds >= _GUESS_SECONDS or (seconds >= _EARLY_SECONDS and done >= _EARLY_PART * (left + done))
    if not is_begun or left * seconds > done * _LONGEST_SECONDS:
        return ""
    return time_left_text(left, done, seconds)
