"""Ends of partitions, looked up where they hold nobody up: on a thread with a reader of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from flowise_telemetry_schemas import TelemetryError
from flowise_telemetry_transport.errors import BrokerUnavailableError, TransportError
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["NO_ANSWER", "EndsLookup", "EndsOnDemand", "EndsQuestion", "EndsThread", "Explain", "PartitionEnds"]

logger = logging.getLogger("flowise_telemetry.consumer")

_CLOSE_SECONDS = 2.0

NO_ANSWER = "no answer about the topic's partitions: no broker answers, or none that leads them"
"""All that is known before a reason is found."""

Explain = Callable[[TransportError], TelemetryError]
"""Returns the reason behind an error of a client; takes a few seconds."""


@dataclass(frozen=True, slots=True)
class EndsQuestion:
    """Partitions whose ends to look up, those of them that have not been read from yet, and the topic."""

    partitions: Collection[TopicPartition]
    unread: Collection[TopicPartition]
    topic: str = ""


@dataclass(frozen=True, slots=True)
class PartitionEnds:
    """Ends of what a reader gets, and of what the partitions hold: apart while a transaction is open.

    ``starts`` are where reading will begin in partitions that have not been read from yet. ``topic_id`` is another one
    once the topic was deleted and created again.
    """

    starts: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]
    high_watermarks: Mapping[TopicPartition, int]
    topic_id: str | None = None

    @classmethod
    def of(cls, reader: RecordReader, question: EndsQuestion) -> PartitionEnds:
        """Look them up. Raises ``TransportError``."""
        if question.topic:
            reader.partitions_of(question.topic)  # unlike the id, it raises where no broker answers
        topic_id = reader.topic_id(question.topic) if question.topic else None
        if not question.partitions:
            return cls({}, {}, {}, topic_id)
        starts: dict[TopicPartition, int] = {}
        if question.unread:
            begins, committed = reader.beginning_offsets(question.unread), reader.committed(question.unread)
            starts = {tp: max(begin, committed[tp] or 0) for tp, begin in begins.items()}
        # In this order: what arrives between the two is not taken for records of an open transaction.
        high_watermarks = reader.high_watermarks(question.partitions)
        return cls(starts, reader.end_offsets(question.partitions), high_watermarks, topic_id)


class EndsLookup(Protocol):
    """Look-ups that are answered later. A failed one has no answer: a missing metric must not end the service."""

    def ask(self, question: EndsQuestion) -> None:
        """Ask; nothing while another question is open."""

    def answer(self) -> PartitionEnds | None:
        """Return the answer, once."""

    def failure(self) -> TelemetryError | None:
        """Return, once, the error of a question that the brokers did not answer."""

    def look_into(self) -> None:
        """Find out why the open question has no answer yet; ``failure`` then says so, if that is found."""

    @property
    def is_open(self) -> bool:
        """True while a question has no answer."""

    def close(self) -> None:
        """End the look-ups."""


class EndsOnDemand:
    """Look-ups by the caller's own reader, for as long as its client takes; for readers that answer at once."""

    def __init__(self, reader: RecordReader) -> None:
        self._reader = reader
        self._answer: PartitionEnds | None = None
        self._failure: TelemetryError | None = None
        self.is_open = False

    def ask(self, question: EndsQuestion) -> None:
        """See ``EndsLookup``."""
        try:
            self._answer = PartitionEnds.of(self._reader, question)
        except TransportError as error:
            logger.debug("ends of the partitions: %s", error.message)
            self._failure = error

    def answer(self) -> PartitionEnds | None:
        """See ``EndsLookup``."""
        answer, self._answer = self._answer, None
        return answer

    def failure(self) -> TelemetryError | None:
        """See ``EndsLookup``."""
        failure, self._failure = self._failure, None
        return failure

    def look_into(self) -> None:
        """See ``EndsLookup``; no question stays open."""

    def close(self) -> None:
        """See ``EndsLookup``."""


class EndsThread:
    """Look-ups on a thread that starts with the first question.

    ``open_reader`` opens a reader that may look up the group's commits and never joins it. A look-up that hangs keeps
    neither the consumer nor the end of the process waiting. ``explain`` may find the reason of a failure, by a
    connection of its own.
    """

    def __init__(self, open_reader: Callable[[], RecordReader], explain: Explain = lambda error: error) -> None:
        self._open_reader = open_reader
        self._explain = explain
        self._reader: RecordReader | None = None
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        self._question: EndsQuestion | None = None
        self._answer: PartitionEnds | None = None
        self._failure: TelemetryError | None = None
        self._looked_into: EndsQuestion | None = None
        self._closed = False

    @property
    def is_open(self) -> bool:
        """See ``EndsLookup``."""
        return self._question is not None

    def ask(self, question: EndsQuestion) -> None:
        """See ``EndsLookup``."""
        with self._changed:
            if self._question is None and not self._closed:
                self._question = question
                self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="flowise-telemetry-ends", daemon=True)
            self._thread.start()

    def answer(self) -> PartitionEnds | None:
        """See ``EndsLookup``."""
        with self._changed:
            answer, self._answer = self._answer, None
            return answer

    def failure(self) -> TelemetryError | None:
        """See ``EndsLookup``."""
        with self._changed:
            failure, self._failure = self._failure, None
            return failure

    def look_into(self) -> None:
        """See ``EndsLookup``; on a thread of its own, once for each question."""
        with self._changed:
            question = self._question
            if question is None or question is self._looked_into:
                return
            self._looked_into = question
        threading.Thread(target=self._explain_silence, name="flowise-telemetry-reason", daemon=True).start()

    def _explain_silence(self) -> None:
        found = self._explain(BrokerUnavailableError(NO_ANSWER))
        with self._changed:
            if self._question is not None and self._question is self._looked_into:
                self._failure = found

    def close(self) -> None:
        """See ``EndsLookup``."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        try:
            while (question := self._next()) is not None:
                answer = self._look_up(question)
                with self._changed:
                    self._question = None
                    if isinstance(answer, TelemetryError):
                        self._failure = answer
                    else:
                        self._answer = answer
        finally:
            self._close_reader()

    def _next(self) -> EndsQuestion | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._question is not None)
            return None if self._closed else self._question

    def _look_up(self, question: EndsQuestion) -> PartitionEnds | TelemetryError | None:
        was_open = self._reader is not None
        try:
            try:
                return self._ask(question)
            except TransportError:
                if not was_open:
                    raise
                # A connection that was idle may have been closed by the broker: that says nothing of the brokers.
                self._close_reader()
                return self._ask(question)
        except TransportError as error:
            logger.debug("ends of the partitions: %s", error)
            return self._explain(error)
        except Exception as error:  # whatever the client raises: the next question is answered all the same
            logger.debug("ends of the partitions: %s", error)
            return None

    def _ask(self, question: EndsQuestion) -> PartitionEnds:
        if self._reader is None:
            self._reader = self._open_reader()
        return PartitionEnds.of(self._reader, question)

    def _close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close(timeout_seconds=_CLOSE_SECONDS)
