"""A replay while it runs: a line for each partition on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType
from typing import Any

import click

from flowise_telemetry_cli.output.progress import LOG_EVERY_SECONDS, TERMINAL_EVERY_SECONDS
from flowise_telemetry_consumer import ReplayResult
from flowise_telemetry_consumer.replay.report import PartitionResult

__all__ = ["ReplayDisplay", "rate_text", "time_left_text"]

_MAX_PARTITION_LINES = 16
_BAR_CHARACTERS = 20


class ReplayDisplay:
    """A context manager; ``show`` may be called as often as there is news. Writes to stderr.

    On a terminal the lines are rewritten in place. Elsewhere there is one every ten seconds: plain text, or with
    ``as_json`` an object.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self._as_json = as_json
        self._on_terminal = sys.stderr.isatty() and not as_json
        self._every_seconds = TERMINAL_EVERY_SECONDS if self._on_terminal else LOG_EVERY_SECONDS
        self._began = time.monotonic()
        self._shown_at = self._began - (self._every_seconds if self._on_terminal else 0.0)
        self._lines = 0
        self._latest: ReplayResult | None = None

    def show(self, result: ReplayResult) -> None:
        """Shows the result so far, unless something was shown just now."""
        self._latest = result
        now = time.monotonic()
        if now - self._shown_at >= self._every_seconds:
            self._shown_at = now
            self._write(result, now - self._began)

    def _write(self, result: ReplayResult, seconds: float) -> None:
        if self._as_json:
            click.echo(json.dumps(_document(result, seconds)), err=True)
        elif self._on_terminal:
            lines = [*_partition_lines(result, seconds), _total_line(result, seconds)]
            up = f"\x1b[{self._lines}A" if self._lines else ""
            click.echo(up + "".join(f"\r\x1b[2K{line}\n" for line in lines), nl=False, err=True)
            # Lines that are fewer than before leave none behind, as finished partitions stay.
            self._lines = len(lines)
        else:
            click.echo(_total_line(result, seconds), err=True)

    def __enter__(self) -> ReplayDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._latest is not None:
            self._write(self._latest, time.monotonic() - self._began)


def _total_line(result: ReplayResult, seconds: float) -> str:
    done, total = result.offsets_read, result.offsets
    here = sum(part.offsets_read for part in result.partitions.values())
    parts = [
        f"replayed {done:,} of {total:,} offsets ({_percent(done, total)} %)",
        rate_text(here, seconds),
        time_left_text(total - done, here, seconds),
        f"written {result.written.total():,}",
    ]
    return ", ".join(part for part in parts if part)


def _partition_lines(result: ReplayResult, seconds: float) -> list[str]:
    parts = sorted(result.partitions.items())
    if len(parts) > _MAX_PARTITION_LINES:
        # The ones that are farthest from their end are those that are waited for.
        parts = sorted(sorted(parts, key=lambda item: item[1].position - item[1].end)[:_MAX_PARTITION_LINES])
    return [f"  {tp.partition:>5}  {_partition_line(part, seconds)}" for tp, part in parts]


def _partition_line(part: PartitionResult, seconds: float) -> str:
    done, total = part.position - part.start, part.end - part.start
    percent = _percent(done, total)
    filled = _BAR_CHARACTERS * percent // 100
    bar = "#" * filled + "." * (_BAR_CHARACTERS - filled)
    rate = rate_text(part.offsets_read, seconds)
    left = time_left_text(total - done, part.offsets_read, seconds)
    return f"{bar} {percent:>3} %  {done:,} of {total:,}  {rate}  {left}".rstrip()


def _document(result: ReplayResult, seconds: float) -> dict[str, Any]:
    return {
        "replay": result.run,
        "seconds": round(seconds, 1),
        "offsets": result.offsets,
        "offsets_read": result.offsets_read,
        "written": result.written.total(),
        "partitions": {
            str(tp.partition): {"start": part.start, "position": part.position, "end": part.end}
            for tp, part in sorted(result.partitions.items())
        },
    }


def _percent(done: int, total: int) -> int:
    return 100 * done // total if total else 100


def rate_text(done: int, seconds: float) -> str:
    """How many a second; nothing before the first."""
    return f"{int(done / seconds):,}/s" if done and seconds > 0 else ""


def time_left_text(left: int, done: int, seconds: float) -> str:
    """How long it still takes at the rate so far; nothing when done or unknown."""
    if not left or not done or seconds <= 0:
        return ""
    rest = int(left * seconds / done) + 1
    return f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02} left"
