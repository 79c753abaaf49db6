"""Events that were taken out of the queue and are not encoded yet."""

from __future__ import annotations

from collections import deque

from flowise_telemetry.delivery.pending import PendingEvents
from flowise_telemetry.delivery.queue import EventQueue, QueuedEvent, drained
from flowise_telemetry.delivery.stream_encoders import StreamEncoders
from flowise_telemetry.encoding.encoder import Encoded

__all__ = ["Unencoded"]


class Unencoded:
    """Takes events out of the queue and hands them over encoded. Belongs to the sender thread, but for ``take_away``.

    Each event stays where ``take_away`` finds it until the next place has it, so that it is counted or kept also if
    this thread hangs in the disk or is given no time before the process ends.
    """

    def __init__(self, queue: EventQueue, encoders: StreamEncoders, pending: PendingEvents) -> None:
        self._queue = queue
        self._encoders = encoders
        self._pending = pending
        self._items: deque[QueuedEvent] = deque()
        self._encoded: list[Encoded] = []  # on their way to the pending ones
        self.taken_away = False
        """True once another thread has taken everything: there is nothing left to do."""

    def __len__(self) -> int:
        return len(self._items)

    def lowest_sequence(self) -> int:
        """Return the number of the first event that is not encoded yet; the next one's if all are."""
        return self._items[0][1] if self._items else self._queue.lowest_sequence()

    def encode(self, most: int) -> None:
        """Encode so many events at most and hand them over. An error leaves what is not encoded in its place."""
        if len(self._queue):
            self._items.extend(self._queue.take_all())
        if not self._items:
            return
        self._encoders.of(self._queue.stream)  # before anything else, because it may raise
        try:
            self._encode(min(most, len(self._items)))
        finally:
            if not self.taken_away:
                self._pending.add(self._encoded)
                self._encoded.clear()

    def _encode(self, events: int) -> None:
        grown_bytes = 0
        for _ in range(events):
            if self.taken_away:
                return
            item = self._items[0]
            encoded = self._encoders.encoded(item)
            if self.taken_away:
                return
            if encoded is None:
                self._queue.release(1, item[3])
            else:
                grown_bytes += encoded.held_bytes - item[3]
                self._encoded.append(encoded)
            self._items.popleft()
        self._queue.hold(0, grown_bytes)

    def take_all(self) -> list[QueuedEvent]:
        """Take out what is not encoded, that in the queue included."""
        return [*drained(self._items), *self._queue.take_all()]

    def take_away(self) -> tuple[list[QueuedEvent], list[Encoded]]:
        """Take out everything, for another thread: what is not encoded, and what is but may be handed over already."""
        self.taken_away = True
        items, encoded = self.take_all(), list(self._encoded)
        numbers = {its.sequence for its in encoded}
        return [item for item in items if item[1] not in numbers], encoded
