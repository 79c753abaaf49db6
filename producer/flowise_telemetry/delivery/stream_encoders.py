"""Encoders, one for each stream."""

from __future__ import annotations

from collections.abc import Callable

from flowise_telemetry.delivery.queue import EventQueue, QueuedEvent
from flowise_telemetry.encoding.encoder import Encoded, Encoder
from flowise_telemetry.identity.stream import Stream
from flowise_telemetry.stats import Counts, DropReason
from flowise_telemetry_schemas.errors import ValidationError

__all__ = ["StreamEncoders"]

_MAX_ENCODERS = 2  # late events of the last month, and the current one's


class StreamEncoders:
    """Turns what the queue holds into bytes, each event by the encoder of its stream.

    Event ids of one encoder follow each other, so another month's stream has another one. ``make`` is called on the
    sender thread, because it may create the local secret.
    """

    def __init__(self, queue: EventQueue, counts: Counts, make: Callable[[Stream], Encoder]) -> None:
        self._queue = queue
        self._counts = counts
        self._make = make
        self._encoders: dict[Stream, Encoder] = {}

    def __len__(self) -> int:
        return len(self._encoders)

    def of(self, stream: Stream) -> Encoder:
        """Return the stream's encoder. Raises what makes encoders impossible, such as a missing library."""
        encoder = self._encoders.get(stream)
        if encoder is None:
            encoder = self._make(stream)
            while len(self._encoders) >= _MAX_ENCODERS:
                del self._encoders[next(iter(self._encoders))]
            self._encoders[stream] = encoder
        return encoder

    def encoded(self, item: QueuedEvent) -> Encoded | None:
        """Return None, counted, for what violates its schema."""
        event, number, accepted_at_ms, _, accepted_at, given = item
        stream = self._queue.stream_of(number) or self._queue.stream
        encoder = self.of(stream)
        try:
            encoded = encoder.encode(event, number - stream.first, accepted_at_ms, given)
        except Exception as error:
            # A subclass can raise anything, with a text that must not be logged.
            detail = error if isinstance(error, ValidationError) else type(error).__name__
            stream.drop(DropReason.INVALID)
            self._counts.drop(DropReason.INVALID, type(event).EVENT, detail)
            return None
        if encoded.withheld:
            stream.withhold(encoded.event, encoded.withheld)
            self._counts.withhold(encoded.event, encoded.withheld)
        encoded.sequence = number
        encoded.accepted_at = accepted_at
        return encoded
