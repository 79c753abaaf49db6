"""Events that were numbered but never arrived: gaps in the sequences of the streams.

Every stream (a process of an app, in one month) numbers its events from 0. A number below the highest one received, or
below what the stream says of itself in ``stream_state``, is missing until it arrives too. That may be much later:
partitions are read in no particular order, and a spool is sent once the network is back.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import polars as pl

from flowise_telemetry_schemas.envelope import STREAM_STATE

__all__ = ["MAX_GAPS", "MAX_STREAMS", "MissingEvents"]

MAX_STREAMS = 10_000
MAX_GAPS = 100_000


class MissingEvents:
    """A count of missing events in bounded memory: at most ``MAX_STREAMS`` streams with ``MAX_GAPS`` gaps in total.

    Beyond that the least recently seen stream is forgotten: its gaps then count for good, even if their events arrive
    after all. A stream begins with the first of its records seen here; earlier numbers are not counted as missing, but
    for those that the stream says it dropped.
    """

    def __init__(self, *, max_streams: int = MAX_STREAMS, max_gaps: int = MAX_GAPS) -> None:
        self._max_streams = max_streams
        self._max_gaps = max_gaps
        self._streams: OrderedDict[str, _Stream] = OrderedDict()
        self._gaps = 0
        self._count = 0

    @property
    def count(self) -> int:
        """Number of events missing now."""
        return self._count

    def observe(self, frames: Mapping[str, pl.DataFrame]) -> None:
        """Take the sequence numbers of a batch's events, and what its streams tell of themselves."""
        columns = [frame.select("stream_id", "sequence") for name, frame in frames.items() if name != STREAM_STATE]
        if columns:
            self._observe_events(columns)
        if STREAM_STATE in frames:
            self._observe_states(frames[STREAM_STATE])
        while len(self._streams) > self._max_streams or self._gaps > self._max_gaps:
            _, forgotten = self._streams.popitem(last=False)
            self._gaps -= len(forgotten.starts)

    def _observe_events(self, columns: Sequence[pl.DataFrame]) -> None:
        by_stream = pl.concat(columns).group_by("stream_id").agg(pl.col("sequence").unique().sort())
        for stream_id, sequences in by_stream.iter_rows():
            stream = self._streams.get(stream_id)
            if stream is None:
                stream = self._streams[stream_id] = _Stream(sequences[0])
            self._streams.move_to_end(stream_id)
            gaps = len(stream.starts)
            self._count += stream.observe(sequences)
            self._gaps += len(stream.starts) - gaps

    def _observe_states(self, states: pl.DataFrame) -> None:
        told = states.select(
            "stream_id",
            # What waits are mostly the latest events: they count as missing once they are neither here nor waiting.
            end=pl.col("numbered") - pl.col("waiting"),
            dropped=pl.sum_horizontal(pl.col("^dropped_.*$")),
        )
        for stream_id, end, dropped in told.iter_rows():
            stream = self._streams.get(stream_id)
            if stream is None:  # which of its events arrived before is not known here
                stream = self._streams[stream_id] = _Stream(end)
                self._count += dropped
            gaps = len(stream.starts)
            self._count += stream.extend(end)
            self._gaps += len(stream.starts) - gaps
            self._streams.move_to_end(stream_id)


class _Stream:
    """One stream: the number after the highest one received, and the gaps below it."""

    __slots__ = ("_ends", "_next", "starts")

    def __init__(self, first: int) -> None:
        self._next = first
        # Ascending gaps, half-open: starts[i] is the first missing number, _ends[i] the one after the last.
        self.starts: list[int] = []
        self._ends: list[int] = []

    def observe(self, sequences: Sequence[int]) -> int:
        """Take ascending numbers; return by how many the number of missing events grew, or shrank."""
        if sequences[0] == self._next and sequences[-1] - sequences[0] == len(sequences) - 1:
            self._next = sequences[-1] + 1
            return 0
        change = 0
        for sequence in sequences:
            if sequence < self._next:
                change -= self._fill(sequence)
                continue
            if sequence > self._next:
                self.starts.append(self._next)
                self._ends.append(sequence)
                change += sequence - self._next
            self._next = sequence + 1
        return change

    def extend(self, end: int) -> int:
        """Take all numbers below ``end`` as given; return by how many the number of missing events grew."""
        change = max(0, end - self._next)
        if change:
            self.starts.append(self._next)
            self._ends.append(end)
            self._next = end
        return change

    def _fill(self, sequence: int) -> int:
        """Take a number out of its gap; return 1 if it was in one, else 0."""
        place = bisect_right(self.starts, sequence) - 1
        if place < 0 or sequence >= self._ends[place]:
            return 0
        around = ((self.starts[place], sequence), (sequence + 1, self._ends[place]))
        left = [(start, end) for start, end in around if start < end]
        self.starts[place : place + 1] = [start for start, _ in left]
        self._ends[place : place + 1] = [end for _, end in left]
        return 1
