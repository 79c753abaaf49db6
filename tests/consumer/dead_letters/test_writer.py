from __future__ import annotations

import hashlib
import logging
import threading

import pytest

from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.dead_letters.headers import decode
from flowise_telemetry_consumer.dead_letters.writer import DeadLetterBatch, DeadLetterQueue
from flowise_telemetry_consumer.errors import DeadLetterRefusedError, DeadLetterUnavailableError
from flowise_telemetry_transport.errors import (
    BrokerUnavailableError,
    DeliveryError,
    DeliveryTimeoutError,
    MessageTooLargeError,
    TransportError,
)
from flowise_telemetry_transport.types import Delivery, OnDelivery, OutgoingRecord, Record
from tests.consumer.world import DLQ, GROUP, FakeClock, record

DELIVERED = None


class ScriptedWriter:
    """Answers the sends as it is told: now, at the next flush, or not at all."""

    def __init__(self) -> None:
        self.sent: list[OutgoingRecord] = []
        self.refusals: list[TransportError] = []
        self.answers: list[TransportError | None] = []
        self.waiting: list[OnDelivery] = []

    def send(self, record: OutgoingRecord, on_delivery: OnDelivery) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.sent.append(record)
        self.waiting.append(on_delivery)

    def poll(self) -> None:
        pass

    def flush(self, *, timeout_seconds: float) -> int:
        while self.answers and self.waiting:
            self._answer(self.waiting.pop(0), self.answers.pop(0))
        return len(self.waiting)

    def _answer(self, on_delivery: OnDelivery, error: TransportError | None) -> None:
        answer = (Delivery(DLQ, 0, 0), None) if error is None else (None, error)
        # As the clients do: on a thread of their own.
        thread = threading.Thread(target=on_delivery, args=answer)
        thread.start()
        thread.join()

    def close(self, *, timeout_seconds: float) -> None:
        pass


def batch(writer: ScriptedWriter, count: int) -> DeadLetterBatch:
    letters = [
        DeadLetter(record(b"", offset=offset), "empty", "decode", "DecodeError", "the value is empty")
        for offset in range(count)
    ]
    return DeadLetterQueue(writer, topic=DLQ, group=GROUP, clock=FakeClock()).batch(letters)


def offsets(writer: ScriptedWriter) -> list[bytes | None]:
    return [dict(sent.headers)["dlq.source.offset"] for sent in writer.sent]


def test_nothing_to_send_is_done() -> None:
    batch(ScriptedWriter(), 0).deliver(timeout_seconds=1)


def test_all_are_delivered_once() -> None:
    writer = ScriptedWriter()
    writer.answers = [DELIVERED] * 3
    it = batch(writer, 3)
    it.deliver(timeout_seconds=1)
    it.deliver(timeout_seconds=1)
    assert offsets(writer) == [b"0", b"1", b"2"]


def test_only_what_failed_is_sent_again() -> None:
    writer = ScriptedWriter()
    writer.answers = [DELIVERED, DeliveryTimeoutError("too late"), DELIVERED]
    it = batch(writer, 3)
    with pytest.raises(DeadLetterUnavailableError, match="1 dead letters are not written: too late"):
        it.deliver(timeout_seconds=1)
    writer.answers = [DELIVERED]
    it.deliver(timeout_seconds=1)
    assert offsets(writer) == [b"0", b"1", b"2", b"1"]


def test_what_has_no_answer_yet_is_waited_for_and_not_sent_again() -> None:
    writer = ScriptedWriter()
    writer.answers = [DELIVERED]
    it = batch(writer, 3)
    for _ in range(3):
        with pytest.raises(DeadLetterUnavailableError, match=r"2 dead letters .* no acknowledgement yet"):
            it.deliver(timeout_seconds=1)
    writer.answers = [DELIVERED, DELIVERED]
    it.deliver(timeout_seconds=1)
    assert len(writer.sent) == 3


def test_a_failure_that_comes_late_is_not_overlooked() -> None:
    writer = ScriptedWriter()
    it = batch(writer, 1)
    with pytest.raises(DeadLetterUnavailableError):
        it.deliver(timeout_seconds=1)
    writer.waiting.pop()(None, DeliveryTimeoutError("too late"))  # between two calls
    with pytest.raises(DeadLetterUnavailableError, match="too late"):
        it.deliver(timeout_seconds=1)
    writer.answers = [DELIVERED]
    it.deliver(timeout_seconds=1)
    assert offsets(writer) == [b"0", b"0"]


def test_a_writer_that_takes_nothing_is_asked_again() -> None:
    writer = ScriptedWriter()
    writer.refusals = [BrokerUnavailableError("no broker")]
    writer.answers = [DELIVERED] * 2
    it = batch(writer, 2)
    with pytest.raises(DeadLetterUnavailableError, match="2 dead letters are not written: no broker"):
        it.deliver(timeout_seconds=1)
    it.deliver(timeout_seconds=1)
    assert offsets(writer) == [b"0", b"1"]


def test_a_refusal_names_the_record() -> None:
    writer = ScriptedWriter()
    writer.answers = [DELIVERED, DeliveryError("not allowed")]
    with pytest.raises(DeadLetterRefusedError, match=r"events\[0\] offset 1 \(not allowed\)") as caught:
        batch(writer, 2).deliver(timeout_seconds=1)
    assert (caught.value.topic, caught.value.partition, caught.value.offset) == ("events", 0, 1)
    assert not caught.value.retryable


def filed(writer: ScriptedWriter) -> list[tuple[bytes | None, bytes | None]]:
    """The source offsets of what was sent, with what was left out."""
    return [(dict(sent.headers)["dlq.source.offset"], dict(sent.headers).get("dlq.cut")) for sent in writer.sent]


TOO_LARGE = MessageTooLargeError("2 bytes over")


def test_a_record_that_the_client_finds_too_large_is_filed_without_its_value(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "flowise_telemetry")
    writer = ScriptedWriter()
    writer.refusals = [TOO_LARGE] * 2
    writer.answers = [DELIVERED] * 2
    batch(writer, 2).deliver(timeout_seconds=1)
    assert filed(writer) == [(b"0", b"value"), (b"1", None)]
    assert [sent.value for sent in writer.sent] == [None, b""]
    assert "events[0] offset 0 is too large and filed without its value" in caplog.text


def test_a_neighbour_of_one_that_is_too_large_keeps_its_bytes() -> None:
    writer = ScriptedWriter()
    writer.answers = [TOO_LARGE] * 3 + [TOO_LARGE] + [DELIVERED] * 3
    letters = [
        DeadLetter(record(value, offset=at), "malformed", "decode", "DecodeError", "what is this")
        for at, value in enumerate((b"a", b"large", b"b"))
    ]
    DeadLetterQueue(writer, topic=DLQ, group=GROUP, clock=FakeClock()).batch(letters).deliver(timeout_seconds=1)
    assert filed(writer)[:4] == [(b"0", None), (b"1", None), (b"2", None), (b"1", None)]
    assert filed(writer)[4:] == [(b"0", None), (b"2", None), (b"1", b"value")]


def test_where_only_the_sum_is_too_large_they_go_one_by_one() -> None:
    writer = ScriptedWriter()
    writer.answers = [TOO_LARGE] * 3 + [DELIVERED] * 3
    it = batch(writer, 3)
    it.deliver(timeout_seconds=1)
    assert filed(writer)[3:] == [(b"0", None), (b"1", None), (b"2", None)]
    it.deliver(timeout_seconds=1)
    assert len(writer.sent) == 6


def test_what_does_not_fit_even_without_its_value_loses_key_and_headers() -> None:
    writer = ScriptedWriter()
    writer.refusals = [TOO_LARGE] * 4
    writer.answers = [DELIVERED]
    large = record(b"value", headers=(("foreign", b"x" * 9),))
    letter = DeadLetter(large, "malformed", "decode", "DecodeError", "what is this")
    DeadLetterQueue(writer, topic=DLQ, group=GROUP, clock=FakeClock()).batch([letter]).deliver(timeout_seconds=1)
    (sent,) = writer.sent
    assert (sent.key, sent.value, "foreign" in dict(sent.headers)) == (None, None, False)
    stored = decode(Record(DLQ, 0, 0, 1, sent.key, sent.value, sent.headers))
    assert (stored.cut, stored.value_bytes) == ("value, key, headers", 5)
    assert stored.value_sha256 == hashlib.sha256(b"value").hexdigest()
    assert (stored.reason, stored.source, stored.lacks_bytes) == ("malformed", ("events", 0, 0), True)


def test_a_topic_that_does_not_even_take_our_headers_is_a_refusal() -> None:
    writer = ScriptedWriter()
    writer.refusals = [TOO_LARGE] * 9
    with pytest.raises(DeadLetterRefusedError, match=r"raise max\.message\.bytes"):
        batch(writer, 1).deliver(timeout_seconds=1)


def test_a_redrive_leaves_nothing_out() -> None:
    writer = ScriptedWriter()
    writer.refusals = [TOO_LARGE]
    it = DeadLetterBatch(writer, [OutgoingRecord(DLQ, b"key", b"value")])
    with pytest.raises(DeadLetterRefusedError, match=r"raise max\.message\.bytes"):
        it.deliver(timeout_seconds=1)
