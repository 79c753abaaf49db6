"""A batch that is written in parts, where the whole takes too long or has rows that are refused."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace

import polars as pl

from flowise_telemetry_consumer.errors import RowRefusedError, SinkTooSlowError
from flowise_telemetry_consumer.retry import RunControl, retry_until
from flowise_telemetry_consumer.sinks.port import Batch, Sink

__all__ = ["PartedWrite", "WriteSize", "write_all"]

logger = logging.getLogger("flowise_telemetry.consumer")

_FAST = 0.25
"""Share of the time that was too long, below which a write of twice the size is tried again."""

_Part = Mapping[str, pl.DataFrame]


class WriteSize:
    """The rows that one write may have: all of a batch until that took too long, then half of it, and so on."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic
        self.rows: int | None = None
        self._too_many = 0
        self._slow_seconds = 0.0

    def was_too_slow(self, rows: int, seconds: float) -> None:
        """Note a write that was not over within its bound."""
        self._slow_seconds = seconds
        self._too_many = max(self._too_many, rows)
        self.rows = max(1, rows // 2)

    def was_done(self, rows: int, seconds: float) -> None:
        """Note a write that was over; one that was fast lets the next be larger."""
        if self.rows is None or 2 * rows < self.rows or seconds > _FAST * self._slow_seconds:
            return
        self.rows *= 2
        if self.rows >= self._too_many:
            self.rows, self._too_many = None, 0


class PartedWrite:
    """One batch on its way into a sink, a part at each ``step``.

    Its offsets are stored with the last part, so that a batch that was left in the middle is written again from its
    beginning, and the sink ignores what it has. ``counts``: written, duplicates and erased, by event.
    """

    def __init__(self, sink: Sink, batch: Batch, size: WriteSize) -> None:
        self._sink = sink
        self._batch = batch
        self._size = size
        self._parts: deque[_Part] = deque([batch.frames] if batch.frames else [])
        self._attempt: Batch | None = None
        self._is_advanced = False
        self.counts: tuple[Counter[str], Counter[str], Counter[str]] = Counter(), Counter(), Counter()

    @property
    def is_done(self) -> bool:
        """True once all parts are written and the offsets are stored."""
        return not self._parts and self._is_advanced

    @property
    def next_part(self) -> _Part:
        """Return the part that the next step writes; the one that was refused, after ``RowRefusedError``.

        It is empty where only the offsets are left, or the dead letters of the batch.
        """
        return self._parts[0] if self._parts else {}

    def step(self) -> None:
        """Write the next part, or halve it where one of its rows is refused.

        A part that failed is written again as the very same batch: a sink may go on with it where it stopped.

        Raises ``SinkTooSlowError``, and tries half of the part at the next call; ``RowRefusedError`` for a row alone;
        other errors of ``Sink.write``.
        """
        while self._parts and self._size.rows is not None and _rows(self._parts[0]) > self._size.rows:
            self._halve()
        part = self._parts[0] if self._parts else {}
        is_last = len(self._parts) <= 1
        rows, begun = _rows(part), self._size.monotonic()
        if self._attempt is None:
            self._attempt = self._batch_of(part, is_last=is_last)
        try:
            result = self._sink.write(self._attempt)
        except SinkTooSlowError:
            if rows > 1:
                self._size.was_too_slow(rows, self._size.monotonic() - begun)
                self._halve()
            raise
        except RowRefusedError:
            if rows <= 1:
                raise
            self._halve()
            return
        if rows:
            self._size.was_done(rows, self._size.monotonic() - begun)
        self._is_advanced = is_last
        for counter, counted in zip(self.counts, (result.written, result.duplicates, result.erased), strict=True):
            counter.update(counted)
        self._attempt = None
        if self._parts:
            self._parts.popleft()

    def leave_out(self, letters: pl.DataFrame | None = None) -> None:
        """Go on without the next part; the last one accounts for it by these letters."""
        self._attempt = None
        self._parts.popleft()
        if letters is not None:
            before = [] if self._batch.letters is None else [self._batch.letters]
            self._batch = replace(self._batch, letters=pl.concat([*before, letters]))

    def _batch_of(self, part: _Part, *, is_last: bool) -> Batch:
        if is_last:
            return replace(self._batch, frames=part)
        return replace(self._batch, frames=part, offsets={}, letters=None)

    def _halve(self) -> None:
        self._attempt = None
        part = self._parts.popleft()
        middle, first, second = _rows(part) // 2, {}, {}
        for event, frame in part.items():
            before = min(frame.height, max(0, middle))
            middle -= frame.height
            if before:
                first[event] = frame[:before]
            if before < frame.height:
                second[event] = frame[before:]
        self._parts.extendleft([second, first])


def write_all(write: PartedWrite, step: Callable[[PartedWrite], None], control: RunControl) -> None:
    """Take a write to its end, within the bounds of a run that ends.

    ``step`` does a step of it. One that was too slow is no outage as long as a smaller one can be tried: each gets
    ``control.no_progress_seconds`` of its own. Raises as ``retry_until``.
    """

    def one() -> None:
        before = _rows(write.next_part)
        try:
            step(write)
        except SinkTooSlowError as error:
            if control.stopped or _rows(write.next_part) == before:
                raise
            logger.warning("%d rows took too long, trying half of them: %s", before, error.message)

    while not write.is_done:
        retry_until(one, control, what="the sink")


def _rows(part: _Part) -> int:
    return sum(frame.height for frame in part.values())
