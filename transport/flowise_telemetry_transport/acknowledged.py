"""Send records until the cluster has acknowledged each of them; those that fail are sent again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from flowise_telemetry_transport.errors import BufferFullError, TransportError
from flowise_telemetry_transport.ports import RecordWriter
from flowise_telemetry_transport.types import Delivery, OutgoingRecord

__all__ = ["AcknowledgedBatch", "RecordRefusedError", "UnacknowledgedError"]


class UnacknowledgedError(TransportError):
    """``count`` records have no acknowledgement yet; the next ``deliver`` continues with them.

    ``cause`` is the latest failure among them, None if the client is still waiting for the answers.
    """

    retryable = True

    def __init__(self, count: int, cause: TransportError | None) -> None:
        super().__init__(f"{count} records are not acknowledged yet" if cause is None else cause.message)
        self.count = count
        self.cause = cause


class RecordRefusedError(TransportError):
    """``record`` was refused with ``cause``, and sending it again would not help."""

    def __init__(self, record: OutgoingRecord, cause: TransportError) -> None:
        super().__init__(cause.message, topic=record.topic)
        self.record = record
        self.cause = cause


class AcknowledgedBatch:
    """Records to be delivered by one writer: call ``deliver`` until it returns.

    An error concerns only the records that it names: others that the client already holds may still be delivered.
    Resending a record that failed without an answer (``DeliveryTimeoutError``) may duplicate it.
    """

    def __init__(self, writer: RecordWriter, records: Sequence[OutgoingRecord]) -> None:
        self.records = list(records)
        self._writer = writer
        # Each place in ``records`` is in one of these until its record is acknowledged. The client may run callbacks on
        # its own thread; single operations on a dict are atomic.
        self._unsent = dict.fromkeys(range(len(records)))
        self._awaited: dict[int, None] = {}
        self._failed: dict[int, TransportError] = {}

    def replace(self, record: OutgoingRecord, by: OutgoingRecord) -> None:
        """Send another record in place of one that was refused."""
        place = next(at for at in self._unsent if self.records[at] is record)
        self.records[place] = by

    def unsent(self) -> list[OutgoingRecord]:
        """Return the records that the next ``deliver`` will send."""
        return [self.records[place] for place in self._unsent]

    def deliver(self, *, timeout_seconds: float, only: OutgoingRecord | None = None) -> None:
        """Return once every record is acknowledged; after that, return at once.

        A record whose fate is open is waited for and never sent again; one that failed is sent again by the next call.
        With ``only`` no other record is sent: a broker refuses what a client sent together as a whole, also where one
        of the records, or only their sum, is too large. ``timeout_seconds`` bounds the wait for the answers, and each
        wait for room in the client's buffer. Raises ``RecordRefusedError`` before ``UnacknowledgedError`` (retryable)
        where there is reason for both; of several that were refused it names the largest.
        """
        for place in list(self._unsent):
            if only is not None and self.records[place] is not only:
                continue
            try:
                self._send(place, timeout_seconds)
            except TransportError as error:
                raise self._error(place, error) from error
        if not self._awaited and not self._failed:
            return
        self._writer.flush(timeout_seconds=timeout_seconds)
        # Read before the failures: a record that fails after this line still counts as awaited.
        awaited = len(self._awaited)
        failed = dict(self._failed)
        for place in failed:
            self._unsent[place] = None
            del self._failed[place]
        if failed:
            # A refusal first; of several failures that a retry may mend, the latest.
            refused = [at for at, error in failed.items() if not error.retryable]
            place = max(refused, key=self._size_bytes) if refused else next(reversed(failed))
            raise self._error(place, failed[place]) from failed[place]
        if awaited:
            raise UnacknowledgedError(awaited, None)

    def _send(self, place: int, timeout_seconds: float) -> None:
        try:
            self._hand_over(place)
        except TransportError as error:
            if error.retryable:
                self._writer.flush(timeout_seconds=timeout_seconds)  # send what the client holds
            if not isinstance(error, BufferFullError):
                raise
            self._hand_over(place)

    def _hand_over(self, place: int) -> None:
        self._awaited[place] = None  # before the client takes it: the callback may run at once
        try:
            self._writer.send(self.records[place], partial(self._settle, place))
        except TransportError:
            del self._awaited[place]
            raise
        del self._unsent[place]

    def _size_bytes(self, place: int) -> int:
        record = self.records[place]
        return (
            len(record.key or b"")
            + len(record.value or b"")
            + sum(len(content or b"") for _, content in record.headers)
        )

    def _settle(self, place: int, _delivery: Delivery | None, error: TransportError | None) -> None:
        if error is not None:
            self._failed[place] = error  # before it leaves ``_awaited``: it is always in one of them
        self._awaited.pop(place, None)

    def _error(self, place: int, error: TransportError) -> RecordRefusedError | UnacknowledgedError:
        if not error.retryable:
            return RecordRefusedError(self.records[place], error)
        return UnacknowledgedError(len(self._unsent) + len(self._awaited) + len(self._failed), error)
