"""A sink and something barer with the same batches of frames, in turn, in one process."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.consumer.sinks.batches import batch

from flowise_telemetry_consumer.sinks.port import Batch

__all__ = ["in_turn"]

_BATCHES = 5
_WARM_UP = 2


def in_turn(
    ours: Callable[[Batch], object], bare: Callable[[Batch], object], *, rows: int, repeats: int
) -> tuple[list[float], list[float]]:
    """CPU of both for each event in microseconds, once for each repeat, with batches of about so many rows."""
    a_time = sum(frame.height for frame in batch().frames.values())
    batches = [batch(number, rows // a_time) for number in range(repeats * _BATCHES + _WARM_UP)]
    for warm_up in batches[:_WARM_UP]:
        ours(warm_up)
        bare(warm_up)
    spent: tuple[list[float], list[float]] = [], []
    for start in range(_WARM_UP, len(batches), _BATCHES):
        for act, its in zip((ours, bare), spent, strict=True):
            its.append(_cpu_us(act, batches[start : start + _BATCHES]))
    return spent


def _cpu_us(act: Callable[[Batch], object], batches: list[Batch]) -> float:
    events = sum(frame.height for its in batches for frame in its.frames.values())
    started = time.process_time()
    for its in batches:
        act(its)
    return (time.process_time() - started) / events * 1e6
