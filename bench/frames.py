"""Batches of frames: for a sink and something barer in turn, in one process, or in files for processes of their own."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.consumer.sinks.batches import batch

from flowise_telemetry_consumer.sinks.port import Batch
from flowise_telemetry_schemas import catalog

__all__ = ["WARM_UP", "in_turn", "saved"]

_BATCHES = 5
WARM_UP = 2
"""How many batches come before those that are measured."""


def in_turn(
    ours: Callable[[Batch], object], bare: Callable[[Batch], object], *, rows: int, repeats: int
) -> tuple[list[float], list[float]]:
    """CPU of both for each event in microseconds, once for each repeat, with batches of about so many rows."""
    batches = _batches(repeats * _BATCHES + WARM_UP, rows)
    for warm_up in batches[:WARM_UP]:
        ours(warm_up)
        bare(warm_up)
    spent: tuple[list[float], list[float]] = [], []
    for start in range(WARM_UP, len(batches), _BATCHES):
        for act, its in zip((ours, bare), spent, strict=True):
            its.append(_cpu_us(act, batches[start : start + _BATCHES]))
    return spent


def saved(folder: Path, *, rows: int) -> Counter[str]:
    """Write what one process is measured with, as Arrow files of events alone; return how many count, by event."""
    counts: Counter[str] = Counter()
    for number, its in enumerate(_batches(_BATCHES + WARM_UP, rows)):
        (folder / f"{number}").mkdir(parents=True)
        for event in its.frames.keys() - catalog().control:
            its.frames[event].write_ipc(folder / f"{number}" / f"{event}.arrow")
            counts[event] += its.frames[event].height if number >= WARM_UP else 0
    return counts


def _batches(count: int, rows: int) -> list[Batch]:
    a_time = sum(frame.height for frame in batch().frames.values())
    return [batch(number, rows // a_time) for number in range(count)]


def _cpu_us(act: Callable[[Batch], object], batches: list[Batch]) -> float:
    events = sum(frame.height for its in batches for frame in its.frames.values())
    started = time.process_time()
    for its in batches:
        act(its)
    return (time.process_time() - started) / events * 1e6
