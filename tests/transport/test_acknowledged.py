"""Records that are delivered until each is acknowledged, on a broker that fails in every way it can."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowise_telemetry_transport import (
    BrokerUnavailableError,
    BufferFullError,
    DeliveryError,
    DeliveryTimeoutError,
    InMemoryBroker,
    MessageTooLargeError,
    OutgoingRecord,
    RecordWriter,
    TopicPartition,
    TransportError,
)
from flowise_telemetry_transport.acknowledged import AcknowledgedBatch, RecordRefusedError, UnacknowledgedError
from flowise_telemetry_transport.types import Delivery, OnDelivery

TP = TopicPartition("t", 0)


def outgoing(count: int) -> list[OutgoingRecord]:
    return [OutgoingRecord("t", b"k", str(number).encode(), partition=0) for number in range(count)]


def values(broker: InMemoryBroker) -> list[bytes | None]:
    """All that the topic holds, in order."""
    if "t" not in broker.partition_counts():
        return []
    log = broker.log(TP)
    return [log.records[offset].value for offset in sorted(log.records)]


@pytest.fixture
def broker() -> InMemoryBroker:
    return InMemoryBroker()


def test_an_empty_batch_is_delivered(broker: InMemoryBroker) -> None:
    broker.down = True
    AcknowledgedBatch(broker.open_writer(), []).deliver(timeout_seconds=0)


def test_all_are_delivered_once_and_in_order(broker: InMemoryBroker) -> None:
    batch = AcknowledgedBatch(broker.open_writer(), outgoing(5))
    batch.deliver(timeout_seconds=1)
    broker.down = True
    batch.deliver(timeout_seconds=0)  # there is nothing left to wait for
    assert values(broker) == [b"0", b"1", b"2", b"3", b"4"]


def test_what_failed_is_sent_again_by_the_next_call_and_nothing_else(broker: InMemoryBroker) -> None:
    batch = AcknowledgedBatch(broker.open_writer(), outgoing(4))
    broker.fail_next_deliveries(DeliveryTimeoutError("too late"), count=2)
    with pytest.raises(UnacknowledgedError, match=r"^too late$") as caught:
        batch.deliver(timeout_seconds=1)
    assert (caught.value.count, caught.value.retryable, type(caught.value.__cause__)) == (2, True, DeliveryTimeoutError)
    assert values(broker) == [b"2", b"3"]
    batch.deliver(timeout_seconds=1)
    assert values(broker) == [b"2", b"3", b"0", b"1"]


def test_what_is_not_answered_yet_is_waited_for_and_not_sent_again(broker: InMemoryBroker) -> None:
    batch = AcknowledgedBatch(broker.open_writer(), outgoing(3))
    broker.down = True
    for _ in range(3):
        with pytest.raises(UnacknowledgedError, match=r"^3 records are not acknowledged yet$") as caught:
            batch.deliver(timeout_seconds=0)
        assert (caught.value.count, caught.value.cause) == (3, None)
    broker.down = False
    batch.deliver(timeout_seconds=1)
    assert values(broker) == [b"0", b"1", b"2"]


def test_a_failure_between_two_calls_is_not_overlooked(broker: InMemoryBroker) -> None:
    writer = broker.open_writer()
    batch = AcknowledgedBatch(writer, outgoing(1))
    broker.down = True
    with pytest.raises(UnacknowledgedError):
        batch.deliver(timeout_seconds=0)
    broker.fail_next_deliveries(DeliveryTimeoutError("too late"))
    broker.down = False
    writer.poll()
    with pytest.raises(UnacknowledgedError, match="too late"):
        batch.deliver(timeout_seconds=1)
    batch.deliver(timeout_seconds=1)
    assert values(broker) == [b"0"]


def test_a_refusal_names_its_record_and_comes_before_an_outage(broker: InMemoryBroker) -> None:
    batch = AcknowledgedBatch(broker.open_writer(), outgoing(3))
    broker.fail_next_deliveries(DeliveryTimeoutError("too late"))
    broker.fail_next_deliveries(DeliveryError("not allowed"))
    with pytest.raises(RecordRefusedError, match=r"^not allowed$") as caught:
        batch.deliver(timeout_seconds=1)
    assert (caught.value.record.value, caught.value.topic, caught.value.retryable) == (b"1", "t", False)
    assert isinstance(caught.value.__cause__, DeliveryError)
    batch.deliver(timeout_seconds=1)  # it was mended: both are sent again
    assert sorted(filter(None, values(broker))) == [b"0", b"1", b"2"]


def test_a_record_that_the_client_refuses_is_named_and_those_before_it_arrive(broker: InMemoryBroker) -> None:
    records = [*outgoing(2), OutgoingRecord("t", b"k", b"x" * 200, partition=0), *outgoing(1)]
    batch = AcknowledgedBatch(broker.open_writer(max_record_bytes=100), records)
    for _ in range(2):
        with pytest.raises(RecordRefusedError) as caught:
            batch.deliver(timeout_seconds=1)
        assert caught.value.record is records[2]
        assert isinstance(caught.value.cause, MessageTooLargeError)
    assert values(broker) == [b"0", b"1"]


def test_a_full_buffer_is_emptied_and_the_rest_sent(broker: InMemoryBroker) -> None:
    batch = AcknowledgedBatch(broker.open_writer(buffer_records=3), outgoing(10))
    batch.deliver(timeout_seconds=1)
    assert values(broker) == [str(number).encode() for number in range(10)]


def test_a_buffer_that_stays_full_is_an_outage_and_what_it_holds_goes_on(broker: InMemoryBroker) -> None:
    batch = AcknowledgedBatch(broker.open_writer(buffer_records=3), outgoing(5))
    broker.down = True
    with pytest.raises(UnacknowledgedError, match="the send buffer holds 3 records") as caught:
        batch.deliver(timeout_seconds=0)
    assert (caught.value.count, type(caught.value.cause)) == (5, BufferFullError)
    broker.down = False
    batch.deliver(timeout_seconds=1)
    assert values(broker) == [b"0", b"1", b"2", b"3", b"4"]


FAILING = {
    "times out": DeliveryTimeoutError("too late"),
    "is not accepted now": DeliveryError("not now", retryable=True),
    "is not accepted": DeliveryError("not allowed"),
}
RAISED = {
    "raises buffer full": BufferFullError("full"),
    "raises no broker": BrokerUnavailableError("no broker"),
    "raises too large": MessageTooLargeError("too large"),
}
FATES = ["arrives", "arrives late", "arrives between calls", *FAILING, *RAISED]


class UnreliableWriter:
    """An in-memory writer whose sends have these fates, one after the other; those after the last one arrive.

    As with real clients some answers come on another thread, and some between two calls.
    """

    def __init__(self, broker: InMemoryBroker, fates: Iterable[str], *, buffer_records: int) -> None:
        self._broker = broker
        self._writer: RecordWriter = broker.open_writer(buffer_records=buffer_records)
        self._fates = deque(fates)
        self._late: list[tuple[OnDelivery, Delivery | None, TransportError | None]] = []
        self._between: list[tuple[OnDelivery, Delivery | None, TransportError | None]] = []
        self.answers: dict[bytes | None, list[bool]] = {}

    def send(self, record: OutgoingRecord, on_delivery: OnDelivery) -> None:
        fate = self._fates.popleft() if self._fates else "arrives"
        if fate in RAISED:
            raise RAISED[fate]
        if fate in FAILING:
            self._broker.fail_next_deliveries(FAILING[fate])
        self._writer.send(record, partial(self._answer, fate, record, on_delivery))

    def _answer(
        self,
        fate: str,
        record: OutgoingRecord,
        done: OnDelivery,
        delivery: Delivery | None,
        error: TransportError | None,
    ) -> None:
        self.answers.setdefault(record.value, []).append(error is None)
        if fate == "arrives late":
            self._late.append((done, delivery, error))
        elif fate == "arrives between calls":
            self._between.append((done, delivery, error))
        else:
            thread = threading.Thread(target=done, args=(delivery, error))
            thread.start()
            thread.join()

    def poll(self) -> None:
        self._writer.poll()

    def flush(self, *, timeout_seconds: float) -> int:
        late, self._late = self._late, []
        open_records = self._writer.flush(timeout_seconds=timeout_seconds)
        for done, delivery, error in late:
            done(delivery, error)
        return open_records + len(self._late) + len(self._between)

    def between_calls(self) -> None:
        answers, self._between = self._between, []
        for done, delivery, error in answers:
            done(delivery, error)

    def close(self, *, timeout_seconds: float) -> None:
        self._writer.close(timeout_seconds=timeout_seconds)


def delivered(batch: AcknowledgedBatch) -> RecordRefusedError | UnacknowledgedError | None:
    try:
        batch.deliver(timeout_seconds=0.001)
    except (RecordRefusedError, UnacknowledgedError) as error:
        return error
    return None


@given(
    count=st.integers(0, 8),
    buffer_records=st.integers(1, 8),
    fates=st.lists(st.sampled_from(FATES), max_size=30),
)
@settings(deadline=None)
def test_whatever_fails_every_record_is_acknowledged_once_in_the_end(
    count: int, buffer_records: int, fates: Sequence[str]
) -> None:
    broker = InMemoryBroker()
    writer = UnreliableWriter(broker, fates, buffer_records=buffer_records)
    batch = AcknowledgedBatch(writer, outgoing(count))
    for _ in range(3 * len(fates) + count + 1):
        error = delivered(batch)
        if error is None:
            break
        if isinstance(error, RecordRefusedError):
            assert error.record in batch.records
            assert True not in writer.answers.get(error.record.value, []), "what arrived is not refused"
        else:
            assert 0 < error.count <= count
        writer.between_calls()
    else:
        pytest.fail("the batch is never delivered")
    assert sorted(value or b"" for value in values(broker)) == sorted(record.value or b"" for record in batch.records)
    assert all(answers.count(True) == 1 for answers in writer.answers.values())
    assert len(writer.answers) == count
