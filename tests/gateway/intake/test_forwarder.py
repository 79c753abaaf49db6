"""The forwarder: what becomes of a request's records, by what the cluster says of each."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from flowise_telemetry_gateway.intake.forwarder import Forwarder
from flowise_telemetry_gateway.refusal import RefusedRequestError
from flowise_telemetry_transport import (
    BufferFullError,
    Delivery,
    MessageTooLargeError,
    OnDelivery,
    OutgoingRecord,
    TransportError,
)
from flowise_telemetry_transport.errors import DeliveryTimeoutError, TimestampRefusedError
from flowise_telemetry_transport.gateway.wire import WireRecord

TOPIC = "flowise.telemetry.events"


class StubWriter:
    """Answers as it is told to, by the key."""

    def __init__(self, answers: dict[bytes, list[Any]]) -> None:
        self.answers = answers
        self.sent: list[OutgoingRecord] = []
        self.closed = threading.Event()

    def send(self, record: OutgoingRecord, on_delivery: Any) -> None:
        self.sent.append(record)
        answers = self.answers.get(record.key or b"", [])
        on_delivery(None, answers.pop(0) if answers else None)

    def poll(self) -> None: ...

    def flush(self, *, timeout_seconds: float) -> int:
        return 0

    def close(self, *, timeout_seconds: float) -> None:
        self.closed.set()


RECORDS = [(place, WireRecord(b"%d" % place, b"value", (), 1_764_000_000_000)) for place in (3, 5, 8)]


def test_what_the_cluster_refuses_is_sent_alone_before_it_is_given_up() -> None:
    large = MessageTooLargeError("record for a.topic at broker.internal:9092", topic=TOPIC)
    writer = StubWriter({b"3": [large, large], b"5": [large], b"8": [TimestampRefusedError("time", topic=TOPIC)]})
    forwarder = Forwarder(TOPIC, lambda: writer, answer_seconds=30.0)
    (refusal,) = forwarder.submit(RECORDS).result(60.0)
    assert (refusal.index, refusal.reason) == (3, "too_large")
    assert "internal" not in refusal.message
    assert [(record.key, record.timestamp_ms) for record in writer.sent[3:]] == [
        (b"8", -1),
        (b"3", 1_764_000_000_000),
        (b"5", 1_764_000_000_000),
    ]
    forwarder.close(30.0)
    assert writer.closed.is_set()


def test_what_may_be_mended_fails_the_batch_and_pauses_the_next() -> None:
    now = 0.0
    writer = StubWriter({b"5": [DeliveryTimeoutError("no answer", topic=TOPIC)]})
    forwarder = Forwarder(TOPIC, lambda: writer, answer_seconds=30.0, clock=lambda: now)
    for _ in range(2):
        with pytest.raises(RefusedRequestError) as told:
            forwarder.submit(RECORDS).result(60.0)
        assert told.value.status == 503
    assert len(writer.sent) == 3
    now = 5.0
    assert forwarder.submit(RECORDS).result(60.0) == []
    forwarder.close(30.0)


def test_a_client_that_cannot_be_made_is_tried_again() -> None:
    now = 0.0
    writer = StubWriter({})
    made: list[OSError | StubWriter] = [OSError("no library"), writer]

    def make() -> StubWriter:
        its = made.pop(0)
        if isinstance(its, Exception):
            raise its
        return its

    forwarder = Forwarder(TOPIC, make, answer_seconds=30.0, clock=lambda: now)
    with pytest.raises(RefusedRequestError):
        forwarder.submit(RECORDS).result(60.0)
    now = 6.0
    assert forwarder.submit(RECORDS).result(60.0) == []
    forwarder.close(30.0)


class FailingWriter(StubWriter):
    """Raises what no client of ours should, once."""

    def poll(self) -> None:
        if self.sent:
            raise ZeroDivisionError


def test_a_client_that_breaks_fails_its_batch_and_no_later_one() -> None:
    now = 0.0
    writers = [FailingWriter({}), StubWriter({})]
    forwarder = Forwarder(TOPIC, lambda: writers.pop(0), answer_seconds=30.0, clock=lambda: now)
    with pytest.raises(RefusedRequestError) as told:
        forwarder.submit(RECORDS).result(60.0)
    assert told.value.status == 503
    now = 6.0
    assert forwarder.submit(RECORDS).result(60.0) == []
    forwarder.close(30.0)


def test_a_request_that_was_cancelled_ends_no_other() -> None:
    gate = threading.Event()

    class SlowWriter(StubWriter):
        def send(self, record: OutgoingRecord, on_delivery: Any) -> None:
            gate.wait(60.0)
            super().send(record, on_delivery)

    writer = SlowWriter({})
    forwarder = Forwarder(TOPIC, lambda: writer, answer_seconds=300.0)
    assert forwarder.submit(RECORDS).cancel()
    gate.set()
    assert forwarder.submit(RECORDS).result(60.0) == []
    forwarder.close(30.0)


class FullWriter(StubWriter):
    """Has room for two records at a time."""

    def __init__(self) -> None:
        super().__init__({})
        self.flushed = 0

    def send(self, record: OutgoingRecord, on_delivery: Any) -> None:
        if len(self.sent) - self.flushed >= 2:
            raise BufferFullError("the send buffer is full", topic=TOPIC)
        super().send(record, on_delivery)

    def flush(self, *, timeout_seconds: float) -> int:
        self.flushed = len(self.sent)
        return 0


def test_a_batch_larger_than_the_client_has_room_for_stops_nobody() -> None:
    writer = FullWriter()
    forwarder = Forwarder(TOPIC, lambda: writer, answer_seconds=300.0)
    for _ in range(2):
        assert forwarder.submit(RECORDS).result(60.0) == []
    assert [record.key for record in writer.sent] == [b"3", b"5", b"8"] * 2
    forwarder.close(30.0)


def test_a_time_that_brokers_refuse_is_not_tried() -> None:
    writer = StubWriter({})
    forwarder = Forwarder(TOPIC, lambda: writer, answer_seconds=300.0)
    times = (None, 0, 1_764_000_000_000, 32_503_680_000_000, (1 << 63) - 1)
    records = [(place, WireRecord(b"%d" % place, b"value", (), its)) for place, its in enumerate(times)]
    assert forwarder.submit(records).result(60.0) == []
    assert [record.timestamp_ms for record in writer.sent] == [None, 0, 1_764_000_000_000, -1, -1]
    forwarder.close(30.0)


class BatchingWriter:
    """Answers at the fourth poll of a batch or at a flush, all of it alike, as a broker does.

    It refuses times before 2020, and more than ``most_records`` together. Nothing is taken until ``begin`` is set.
    """

    def __init__(self, most_records: int = 1_000) -> None:
        self.batches: list[list[tuple[bytes | None, int | None]]] = []
        self.begin = threading.Event()
        self._most_records = most_records
        self._polls = 0
        self._held: list[tuple[OutgoingRecord, OnDelivery]] = []

    def send(self, record: OutgoingRecord, on_delivery: OnDelivery) -> None:
        self.begin.wait(60.0)
        self._held.append((record, on_delivery))

    def poll(self) -> None:
        self._polls += bool(self._held)
        if self._polls > 3:
            self.flush(timeout_seconds=0.0)

    def flush(self, *, timeout_seconds: float) -> int:
        held, self._held, self._polls = self._held, [], 0
        if held:
            self.batches.append([(record.key, record.timestamp_ms) for record, _ in held])
        error: TransportError | None = None
        if len(held) > self._most_records:
            error = MessageTooLargeError("the batch is too large", topic=TOPIC)
        elif any(0 <= (record.timestamp_ms or 0) < 1_577_836_800_000 for record, _ in held):
            error = TimestampRefusedError("the time is out of range", topic=TOPIC)
        for record, on_delivery in held:
            on_delivery(None if error else Delivery(record.topic, 0, 0), error)
        return 0

    def close(self, *, timeout_seconds: float) -> None: ...


DATED, OLD, FAR = 1_764_000_000_000, 1_000, 32_503_680_000_000


def records(**times: int) -> list[tuple[int, WireRecord]]:
    return [(place, WireRecord(key.encode(), b"value", (), its)) for place, (key, its) in enumerate(times.items())]


def test_a_record_without_a_time_shares_no_batch_with_another_request_that_is_refused_for_its_time() -> None:
    writer = BatchingWriter()
    forwarder = Forwarder(TOPIC, lambda: writer, answer_seconds=300.0)
    answers = [forwarder.submit(records(old=OLD)), forwarder.submit(records(far=FAR))]
    answers.append(forwarder.submit(records(later=DATED)))
    writer.begin.set()
    forwarder.close(60.0)
    assert [answer.result(60.0) for answer in answers] == [[], [], []], "each is in the cluster"
    assert all(len({its == -1 for _, its in batch}) == 1 for batch in writer.batches), "never both in a batch"
    assert {key for batch in writer.batches for key, its in batch if its == -1} == {b"far", b"old"}


def test_nor_with_one_of_its_own_request() -> None:
    writer = BatchingWriter()
    forwarder = Forwarder(TOPIC, lambda: writer, answer_seconds=300.0)
    sent = forwarder.submit(records(a=DATED, b=FAR, c=OLD, d=FAR, e=DATED))
    writer.begin.set()
    assert sent.result(60.0) == []
    assert writer.batches[0] == [(b"a", DATED), (b"c", OLD), (b"e", DATED)], "one change, however they came"
    assert all(len({its == -1 for _, its in batch}) == 1 for batch in writer.batches)
    forwarder.close(60.0)


def test_what_is_too_large_beside_another_request_is_sent_alone() -> None:
    writer = BatchingWriter(most_records=1)
    forwarder = Forwarder(TOPIC, lambda: writer, answer_seconds=300.0)
    answers = [forwarder.submit(records(**{name: DATED})) for name in ("one", "two", "three")]
    writer.begin.set()
    forwarder.close(60.0)
    assert [answer.result(60.0) for answer in answers] == [[], [], []]
