"""``stream_state`` records: what each stream tells of itself, so that a sink can tell what was lost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from flowise_telemetry.delivery.queue import EventQueue
from flowise_telemetry.encoding.encoder import Encoded, Encoder
from flowise_telemetry.identity.stream import Stream, StreamCounts

__all__ = ["StreamReports"]

EVERY_SECONDS = 600.0
_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Told:
    """The latest record of a stream; ``records`` is how many there were."""

    counts: StreamCounts
    ended: bool
    records: int


class StreamReports:
    """Makes a record at the end of a stream, at the end of a month, and every ten minutes while a count changes.

    Belongs to the sender's thread. A stream without an event has none.
    """

    def __init__(
        self,
        queue: EventQueue,
        encoder_of: Callable[[Stream], Encoder],
        *,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._queue = queue
        self._encoder_of = encoder_of
        self._clock = clock
        self._now_ms = now_ms
        self._told: dict[Stream, _Told] = {}
        self._look_at = 0.0
        self._tell_at = clock() + EVERY_SECONDS

    def due(self, *, closing: bool = False) -> list[Encoded]:
        """Return the records to be sent now, the oldest stream first. ``closing``: the process numbers no more events.

        Raises what makes encoders impossible; the records are then due again.
        """
        now = self._clock()
        if not closing and now < self._look_at:
            return []
        self._look_at = now + _LOOK_SECONDS
        periodic = now >= self._tell_at
        if periodic:
            self._tell_at = now + EVERY_SECONDS
        found: list[Encoded] = []
        newer: Stream | None = None
        stream: Stream | None = self._queue.stream
        while stream is not None:
            counts = stream.counts(self._queue.numbered)
            ended = closing or stream.end is not None or self._now_ms() >= stream.until_ms
            told = self._told.get(stream)
            is_news = told is None or told.counts != counts
            if counts.numbered and ((ended and not (told and told.ended)) or (is_news and (periodic or closing))):
                self._tell(stream, counts, ended=ended, found=found)
            elif newer is not None and ended and not counts.waiting:
                newer.previous = stream.previous  # nothing is left to be told
                self._told.pop(stream, None)
                stream = stream.previous
                continue
            newer, stream = stream, stream.previous
        found.reverse()
        return found

    def _tell(self, stream: Stream, counts: StreamCounts, *, ended: bool, found: list[Encoded]) -> None:
        told = self._told.get(stream)
        records = told.records if told else 0
        encoder = self._encoder_of(stream)
        # A clock that is far off makes every record invalid, as it makes the events: they are all counted, and gone.
        with contextlib.suppress(ValueError, OverflowError, OSError):
            # Never a time of another month: it would have that month's id of the installation.
            occurred_at_ms = min(max(self._now_ms(), stream.from_ms), stream.until_ms - 1)
            found.append(encoder.encode_state(counts, sequence=records, occurred_at_ms=occurred_at_ms, ended=ended))
        self._told[stream] = _Told(counts, ended, records + 1)
