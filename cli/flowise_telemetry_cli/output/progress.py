"""Progress of long work: one line that is rewritten on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

import click

__all__ = ["ProgressLine"]

TERMINAL_EVERY_SECONDS = 0.1
LOG_EVERY_SECONDS = 10.0


class ProgressLine:
    """A context manager; ``show`` may be called as often as there is news. Writes to stderr."""

    def __init__(self) -> None:
        self._on_terminal = sys.stderr.isatty()
        self._every_seconds = TERMINAL_EVERY_SECONDS if self._on_terminal else LOG_EVERY_SECONDS
        self._shown_at = time.monotonic() if not self._on_terminal else 0.0
        self._width = 0
        self._latest = ""

    def show(self, text: str) -> None:
        """Shows the text, unless something was shown just now."""
        self._latest = text
        now = time.monotonic()
        if now - self._shown_at < self._every_seconds:
            return
        self._shown_at = now
        self._write(text)

    def _write(self, text: str) -> None:
        if self._on_terminal:
            click.echo("\r" + text.ljust(self._width), nl=False, err=True)
            self._width = len(text)
        else:
            click.echo(text, err=True)

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._latest:
            self._write(self._latest)
        if self._width:
            click.echo(err=True)
