"""The progress display of a terminal, drawn by rich, which is imported when one is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.live import Live
    from rich.progress import Progress, TaskID

__all__ = ["Bar", "Terminal", "open_terminal"]


@dataclass(frozen=True, slots=True)
class Bar:
    """One part of the work: ``done`` of ``total``, with a text beside the bar. An empty part is done."""

    name: str
    done: int
    total: int
    text: str = ""


def open_terminal() -> Terminal | None:
    """Start a display on stderr; return None if rich (consumer extra) is not installed: plain lines are shown then."""
    try:
        from rich.console import Console
        from rich.live import Live
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    except ImportError:
        return None
    columns = (
        TextColumn("{task.description}", justify="right", markup=False),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TextColumn("{task.fields[text]}", justify="right", markup=False),
    )
    console = Console(stderr=True)
    # stdout is left alone, as events may go there. Other writes to stderr appear above the display. No thread: the
    # display changes only with its state.
    live = Live(console=console, auto_refresh=False, redirect_stdout=False)
    live.start()
    return Terminal(live, Progress(*columns, console=console, auto_refresh=False, expand=True))


class Terminal:
    """Bars above a line of text, rewritten in place."""

    def __init__(self, live: Live, bars: Progress) -> None:
        self._live = live
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def show(self, text: str, bars: Sequence[Bar]) -> None:
        """Draw these bars and the text below them."""
        from rich.console import Group
        from rich.text import Text

        for bar in bars:
            if bar.name not in self._tasks:
                self._tasks[bar.name] = self._bars.add_task(bar.name, text="")
            done, total = (bar.done, bar.total) if bar.total else (1, 1)
            self._bars.update(self._tasks[bar.name], completed=done, total=total, text=bar.text, visible=True)
        for name in self._tasks.keys() - {bar.name for bar in bars}:
            self._bars.update(self._tasks[name], visible=False)
        line = Text(text, no_wrap=True, overflow="ellipsis")
        self._live.update(Group(self._bars.get_renderable(), line) if bars else line, refresh=True)

    def close(self) -> None:
        """Leave the last drawing on the screen and restore the cursor."""
        self._live.stop()
