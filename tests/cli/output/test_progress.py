"""The progress display on a terminal, and without one."""

from __future__ import annotations

import io
import json
import logging
import sys
from contextlib import redirect_stderr

import pytest

from flowise_telemetry_cli.output.logging import start_logging
from flowise_telemetry_cli.output.progress import ProgressDisplay, Status, estimate_text, rate_text, time_left_text
from flowise_telemetry_cli.output.terminal import Bar


class Terminal(io.StringIO):
    """A stderr that a person looks at."""

    def isatty(self) -> bool:
        return True


class FakeClock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    return Terminal()


def status(done: int, seconds: float) -> Status:
    bars = [Bar("partition 0", done, 1_000, f"{done} of 1,000"), Bar("partition 1", 0, 0, "0 of 0")]
    return Status(f"replayed {done} after {seconds:.0f} s", bars)


def display(clock: FakeClock) -> ProgressDisplay[int]:
    return ProgressDisplay(status, monotonic=clock)


def test_without_a_terminal_there_is_a_line_every_ten_seconds(
    clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    with display(clock) as shown:
        for second in range(35):
            clock.now = 100.0 + second
            shown.show(second)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [f"replayed {second} after {second} s" for second in (10, 20, 30, 34)]


def test_programs_get_an_object_a_line_even_on_a_terminal(clock: FakeClock, terminal: Terminal) -> None:
    with (
        redirect_stderr(terminal),
        ProgressDisplay(status, document=lambda done, seconds: {"done": done, "s": seconds}, monotonic=clock) as shown,
    ):
        for second in range(15):
            clock.now = 100.0 + second
            shown.show(second)
    assert [json.loads(line) for line in terminal.getvalue().splitlines()] == [
        {"done": 10, "s": 10.0},
        {"done": 14, "s": 14.0},
    ]


def test_a_terminal_shows_the_first_state_at_once_and_the_last_one_stays(clock: FakeClock, terminal: Terminal) -> None:
    with redirect_stderr(terminal), display(clock) as shown:
        shown.show(1)
        assert "replayed 1 after 0 s" in terminal.getvalue()
        clock.now += 0.05
        shown.show(2)
        assert "replayed 2 " not in terminal.getvalue(), "too soon"
        clock.now += 5
        shown.show(500)
    last = terminal.getvalue().rpartition("partition 0")[2]
    assert "replayed 500 after 5 s" in last
    assert " 50%" in last
    assert "100%" in last, "an empty partition is done"
    assert terminal.getvalue().endswith("\x1b[?25h"), "the cursor is back"


def test_bars_that_are_no_longer_shown_disappear(clock: FakeClock, terminal: Terminal) -> None:
    def one_bar(done: int, _seconds: float) -> Status:
        return Status("text", [Bar(f"partition {done}", done, 10)])

    with redirect_stderr(terminal), ProgressDisplay(one_bar, monotonic=clock) as shown:
        shown.show(3)
        clock.now += 1
        shown.show(7)
    last = terminal.getvalue().rpartition("partition 7")
    assert "partition 3" not in last[0].rpartition("partition 3")[2] + last[2]


def test_bars_fit_into_eighty_columns(clock: FakeClock, terminal: Terminal) -> None:
    text = "1,234,567,890 of 1,234,567,891, 123,456/s, 10:00:10 left"
    wide = Status("x" * 200, [Bar("partition 1234", 1_234_567_890, 1_234_567_891, text)])
    with redirect_stderr(terminal), ProgressDisplay[int](lambda *_: wide, monotonic=clock) as shown:
        shown.show(1)
    assert text in terminal.getvalue()
    assert "x" * 81 not in terminal.getvalue()


def test_log_lines_appear_above_the_display(clock: FakeClock, terminal: Terminal) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    try:
        start_logging("text")
        with redirect_stderr(terminal), display(clock) as shown:
            shown.show(1)
            logging.getLogger("flowise_telemetry.test").info("a line of the log")
            clock.now += 1
            shown.show(2)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    text = terminal.getvalue()
    assert text.index("replayed 1 ") < text.index("a line of the log") < text.index("replayed 2 ")


@pytest.mark.parametrize("reason", ["no rich", "dumb"])
def test_plain_lines_serve_where_rich_cannot(
    reason: str, clock: FakeClock, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason == "dumb":
        monkeypatch.setenv("TERM", "dumb")
    else:
        for module in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, "rich", None)
    with redirect_stderr(terminal), display(clock) as shown:
        shown.show(3)
    assert terminal.getvalue() == "replayed 3 after 0 s\n"


def test_an_error_passes_through_and_gives_the_terminal_back(clock: FakeClock, terminal: Terminal) -> None:
    with redirect_stderr(terminal):
        with pytest.raises(KeyError), display(clock):
            raise KeyError
        assert sys.stderr is terminal
    assert terminal.getvalue().endswith("\x1b[?25h")


def test_rates_and_times_are_empty_until_known() -> None:
    assert (rate_text(0, 3.0), rate_text(10, 0.0), rate_text(5_000, 2.5)) == ("", "", "2,000/s")
    assert (time_left_text(0, 5, 1.0), time_left_text(5, 0, 1.0)) == ("", "")
    assert time_left_text(7_200, 2, 1.0) == "1:00:01 left"


def test_an_estimate_that_is_no_use_is_not_shown() -> None:
    """The first batch of 295,972 events came after seven seconds, most of which the start had taken."""
    assert estimate_text(295_967, 5, 7.2) == ""
    assert estimate_text(990, 10, 2.0) == ""
    assert estimate_text(990, 10, 4.0) == "0:06:37 left"
    assert estimate_text(10_000, 5, 60.0) == "33:20:01 left"
    assert estimate_text(100_000, 5, 60.0) == ""
    assert (estimate_text(0, 5, 100.0), estimate_text(5, 0, 100.0)) == ("", "")
