"""The progress display as a terminal of 50 to 200 columns shows it, looked at in a terminal emulator."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stderr

import pyte
import pytest

from flowise_telemetry_cli.commands.replay._display import archive_status, replay_status
from flowise_telemetry_cli.output.progress import ProgressDisplay, Status
from flowise_telemetry_consumer import ReplayResult
from flowise_telemetry_consumer.replay import ArchiveResult
from flowise_telemetry_consumer.replay.archive_result import ArchiveEvent
from flowise_telemetry_consumer.replay.report import PartitionResult
from flowise_telemetry_transport.types import TopicPartition

_ROWS = 24
_WIDTHS = [*range(50, 90), *range(90, 200, 11), 200]
_ABOVE = "replaying events into sqlite:///copy.db"


class Stderr(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self) -> bool:
        return True


def replayed(done: float, offsets: int, partitions: int) -> Status:
    """What a replay shows that has read a share of its offsets, in two hours at the end."""
    parts = {
        TopicPartition("events", number): PartitionResult(0, offsets + number, int(offsets * done))
        for number in range(partitions)
    }
    result = ReplayResult(
        "events",
        parts,
        run="0123456789ab",
        resumed=False,
        written=Counter(tool_created=int(offsets * done)),
        already_there=Counter(),
        dead=Counter(),
    )
    return replay_status(result, 7_200 * done)


def read_back(done: float, offsets: int) -> Status:
    """What a replay from an archive shows."""
    event = ArchiveEvent(offsets, int(offsets * done), int(offsets * done))
    return archive_status(ArchiveResult({"tool_created": event}), 7_200 * done)


def screen_of(states: Sequence[Status], width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines on the screen once the states were shown one after the other."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LINES", str(_ROWS))
    stderr, now = Stderr(), [0.0]
    stderr.write(f"{_ABOVE}\n")
    with redirect_stderr(stderr), ProgressDisplay[Status](lambda state, _: state, monotonic=lambda: now[0]) as shown:
        for state in states:
            shown.show(state)
            now[0] += 1.0
    screen = pyte.Screen(width, _ROWS)
    pyte.Stream(screen).feed(stderr.getvalue().replace("\n", "\r\n"))
    assert not screen.cursor.hidden
    return [line.rstrip() for line in screen.display if line.strip()]


@pytest.mark.slow
@pytest.mark.parametrize(("offsets", "partitions"), [(1_000, 1), (295_972, 3), (10**10, 16)])
def test_a_replay_takes_one_line_a_bar_and_one_below(
    offsets: int, partitions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = [replayed(done, offsets, partitions) for done in (0.0, 0.01, 0.5, 0.999, 0.48)]
    for width in _WIDTHS:
        above, *bars, line = screen_of(states, width, monkeypatch)
        assert above == _ABOVE
        assert len(bars) == partitions
        assert all(f"partition {number} " in bar for number, bar in enumerate(bars))
        assert line.startswith("replayed ")
        assert max(map(len, [*bars, line])) <= width


def test_a_replay_from_an_archive_takes_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for width in _WIDTHS:
        screen = screen_of([read_back(done, 10**10) for done in (0.0, 0.2, 0.5)], width, monkeypatch)
        assert screen[0] == _ABOVE
        assert len(screen) == 2


def test_a_line_that_gets_shorter_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    for width in _WIDTHS:
        assert screen_of([Status("x" * (width + 2)), Status("y")], width, monkeypatch) == [_ABOVE, "y"]
