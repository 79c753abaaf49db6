"""The Delta sink next to the Parquet sink that it took the place of, which is taken out of git.

With the same batches in turn, each time in a process of its own; the old sink has an environment of its own, too. It is
left out where it cannot be had: without git, or without the history (a shallow clone).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.environments import BENCH, python_of
from bench.frames import WARM_UP, saved
from bench.runs import Run, sink_alone
from bench.table import Row, at_most, print_table, ratios

__all__ = ["print_parquet_sink"]

_COMMIT = "3b6d8ef7bb9695820c3a48bd41e60cefd07dbaba"
"""The last one that has the Parquet sink."""

_ROOMS = ("schemas", "transport", "consumer")
_TIMEOUT_SECONDS = 60


def print_parquet_sink(rows: int, repeats: int) -> None:
    """Prints CPU for each event of both sinks with batches of so many rows."""
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / "old"
        python = python_of("parquet_sink")
        if python is not None and _taken_out(old):
            table = _compared(Path(folder), python, [old / room for room in _ROOMS], rows, repeats)
            print_table(f"frames to Delta, and to Parquet as it was in {_COMMIT}", table)


def _compared(folder: Path, python: Path, rooms: list[Path], rows: int, repeats: int) -> Iterator[Row]:
    frames = folder / "frames"
    counts = saved(frames, rows=rows)
    delta: list[Run] = []
    parquet: list[Run] = []
    for number in range(repeats):
        parquet.append(sink_alone(frames, WARM_UP, f"parquet:///{folder}/{number}", counts, python=python, rooms=rooms))
        delta.append(sink_alone(frames, WARM_UP, f"delta:///{folder}/delta-{number}", counts))
    costs = [[run.cpu_us for run in runs] for runs in (delta, parquet)]
    yield Row(f"Delta, batches of {rows:,}", costs[0], "µs CPU")
    yield Row("the Parquet sink", costs[1], "µs CPU")
    yield Row("  Delta over it", ratios(*costs), "times", at_most(1.3))


def _taken_out(folder: Path) -> bool:
    """Return False, and say why on stderr, where the history does not have it."""
    try:
        command = ["git", "archive", _COMMIT, *_ROOMS]
        archive = subprocess.run(
            command, cwd=BENCH.parent, check=True, capture_output=True, timeout=_TIMEOUT_SECONDS
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        told = error.stderr.decode() if isinstance(error, subprocess.CalledProcessError) else str(error)
        sys.stderr.write(f"the Parquet sink of {_COMMIT} is left out: {' '.join(told.split())[-300:]}\n")
        return False
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True, timeout=_TIMEOUT_SECONDS)
    return True
