"""The words of the demo: each step with what is done, what to look at, and whether it was found."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable

import click

from flowise_telemetry_cli.output.safe import echo

__all__ = ["Narration"]

_WIDTH = 80
_INDENT = "  "


class Narration:
    """What the demo says on stdout, in lines of 80 columns.

    With ``pause`` it waits for Enter after each step but the last. ``steps`` is their number.
    """

    def __init__(self, *, steps: int, pause: bool = False, enter: Callable[[], str] | None = None) -> None:
        self._steps = steps
        self._pause = pause
        self._enter = enter or sys.stdin.readline
        self._begun = 0
        self.as_expected = True
        """False once anything was found that was not expected."""

    def begin(self, title: str, *, done: str, look: str) -> None:
        """Begin the next step."""
        if self._begun and self._pause:
            self._wait()
        self._begun += 1
        head = f"Step {self._begun} of {self._steps}. {title}"
        echo(("\n" if self._begun > 1 else "") + f"{head}\n{'-' * len(head)}")
        self.say(f"What is done: {done}")
        self.say(f"Look at: {look}")
        echo()

    def say(self, text: str) -> None:
        """Print a paragraph."""
        echo(textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False))

    def go_on(self, text: str) -> None:
        """Print a paragraph after an empty line."""
        echo()
        self.say(text)

    def show(self, text: str) -> None:
        """Print lines as they are, indented."""
        echo(textwrap.indent(text, _INDENT))

    def compare(self, expected: str, found: str) -> None:
        """End the step: print both, and note whether they are the same."""
        same = expected == found
        self.as_expected &= same
        echo()
        for name, text in (("Expected", expected), ("Found", found)):
            echo(textwrap.fill(f"{name + ':':10}{text}", _WIDTH, subsequent_indent=" " * 10, break_on_hyphens=False))
        echo("As expected." if same else "NOT AS EXPECTED.")

    def _wait(self) -> None:
        echo("\nEnter for the next step, Ctrl-C to end.", err=True)
        if not self._enter():
            raise click.Abort  # the terminal is gone
