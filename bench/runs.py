"""Starts what is measured, each in a process of its own, and holds what it tells to what is in the topic."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.consumer.sinks.roles import open_readable

from bench.environments import BENCH, built_of, python_of
from bench.topic import FilledTopic

__all__ = [
    "SCHEMAS",
    "Run",
    "built_peer",
    "lake_of_files",
    "new_group",
    "ours",
    "peer",
    "reading",
    "sink_alone",
    "sink_holds",
    "start_ours",
]

SCHEMAS = BENCH.parent / "schemas" / "flowise_telemetry_schemas" / "avro"
_TIMEOUT_SECONDS = 3_600


@dataclass(frozen=True, slots=True)
class Run:
    """What one process took for its events, from the first record to the last."""

    events: int
    wall_seconds: float
    cpu_seconds: float
    peak_mebibytes: float

    @property
    def per_second(self) -> float:
        """Events."""
        return self.events / self.wall_seconds

    @property
    def cpu_us(self) -> float:
        """Of all its threads, for each event, in microseconds."""
        return self.cpu_seconds / self.events * 1e6


def new_group() -> str:
    """A consumer group that no one was in."""
    return f"bench-{uuid.uuid4().hex[:12]}"


def _command(python: str | Path, module: str, *arguments: object) -> list[str]:
    return [str(python), "-m", f"bench.peers.{module}", *map(str, arguments)]


def _ran(command: list[str], events: int, wanted: Mapping[str, int] | None, rooms: Sequence[Path] = ()) -> Run:
    environ = _environ() | ({"PYTHONPATH": os.pathsep.join(map(str, rooms))} if rooms else {})
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=BENCH.parent, timeout=_TIMEOUT_SECONDS, check=False, env=environ
    )
    if done.returncode:
        raise SystemExit(f"error: {' '.join(command[1:4])} failed: {done.stderr.strip()[-2_000:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    if wanted is not None and told["counts"] != dict(wanted):
        raise SystemExit(f"error: {' '.join(command[1:4])}: {told['counts']} where {dict(wanted)} were sent")
    return Run(events, told["wall_seconds"], told["cpu_seconds"], told["peak_mebibytes"])


def _environ() -> dict[str, str]:
    # polars' threads as the command line sets them; of the peers none has polars.
    return {"POLARS_MAX_THREADS": "1", **os.environ, "PYTHONUNBUFFERED": "1"}


def reading(client: str, filled: FilledTopic, *, through: str = "reading") -> Run:
    """The client alone, or our ``transport`` over it, that reads and does nothing."""
    command = _command(sys.executable, through, client, filled.servers, filled.topic, filled.events)
    return _ran(command, filled.events, None)


def ours(client: str, filled: FilledTopic, sink: str, *, group: str = "") -> Run:
    """Our consumer, with all of a topic into a sink, which is then asked what it holds."""
    where = (client, filled.servers, filled.topic, filled.events, sink, group or new_group())
    return _ran(_command(sys.executable, "ours", *where), filled.events, filled.counts)


def start_ours(client: str, filled: FilledTopic, sink: str, group: str, *, core: int) -> subprocess.Popen[bytes]:
    """Our consumer until SIGTERM, on one core only where ``taskset`` is there."""
    command = _command(sys.executable, "ours", client, filled.servers, filled.topic, 0, sink, group)
    if taskset := shutil.which("taskset"):
        command = [taskset, "--cpu-list", str(core), *command]
    return subprocess.Popen(command, cwd=BENCH.parent, stdout=subprocess.DEVNULL, env=_environ())


def peer(name: str, module: str, filled: FilledTopic, *more: object, events: int | None = None) -> Run | None:
    """A foreign consumer; None where it cannot be installed. ``events``: only so many of the topic, for a slow one."""
    python = python_of(name)
    if python is None:
        return None
    count = filled.events if events is None else min(events, filled.events)
    command = _command(python, module, filled.servers, filled.topic, count, *more, new_group(), SCHEMAS)
    return _ran(command, count, filled.counts if count == filled.events else None)


def built_peer(name: str, filled: FilledTopic, folder: str) -> Run | None:
    """A peer that is a program, with all of a topic into files of a folder; None where it cannot be built."""
    program = built_of(name)
    if program is None:
        return None
    where = (filled.servers, filled.topic, str(filled.events), folder, new_group(), str(SCHEMAS))
    return _ran([str(program), *where], filled.events, filled.counts)


def sink_alone(
    frames: Path,
    warm_up: int,
    sink: str,
    counts: Mapping[str, int],
    *,
    python: str | Path = sys.executable,
    rooms: Sequence[Path] = (),
) -> Run:
    """A sink with the batches of a folder; that of another version, whose packages lie in ``rooms``, by its python."""
    return _ran(_command(python, "sink_alone", frames, sink, warm_up), sum(counts.values()), counts, rooms)


def lake_of_files(count: int) -> dict[str, float]:
    """Figures of a lake of so many files, by a process of its own."""
    command = [sys.executable, "-m", "bench.lake_files", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=BENCH.parent, check=True, env=_environ())
    told: dict[str, float] = json.loads(done.stdout)
    return told


def sink_holds(url: str, *parts: Mapping[str, int]) -> None:
    """Ends the program where a sink does not hold exactly so many events of each kind."""
    wanted: Counter[str] = Counter()
    for counts in parts:
        wanted.update(counts)
    sink = open_readable(url)
    held = {event: count for event, count in sink.counts().items() if count}
    sink.close()
    if held != dict(wanted):
        raise SystemExit(f"error: {sink.url} holds {held} where {dict(wanted)} were sent")
