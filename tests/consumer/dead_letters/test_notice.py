from __future__ import annotations

import logging

import pytest

from flowise_telemetry_consumer.dead_letter import DeadLetter, Reason
from flowise_telemetry_consumer.dead_letters.notice import DeadLetterNotice
from tests.consumer.world import DLQ, FakeClock, record


def letters(reason: Reason, count: int) -> list[DeadLetter]:
    return [
        DeadLetter(record(b"secret", offset=at), reason, "decode", "DecodeError", "no framing") for at in range(count)
    ]


@pytest.fixture(autouse=True)
def _warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "flowise_telemetry")


def test_one_line_at_the_first_of_a_reason_and_a_summary_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    notice = DeadLetterNotice(DLQ, clock)
    for second in range(180):
        clock.now = 1_000.0 + second
        notice.filed(letters("empty" if second < 100 else "malformed", 10))
    notice.look(last=True)
    assert [each.getMessage() for each in caplog.records] == [
        "first dead letter with reason empty: events[0] offset 0, filed in events.dlq: no framing",
        "609 more dead letters in events.dlq: empty 609",
        "first dead letter with reason malformed: events[0] offset 0, filed in events.dlq: no framing",
        "599 more dead letters in events.dlq: empty 390, malformed 209",
        "590 more dead letters in events.dlq: malformed 590",
    ]
    assert {each.levelname for each in caplog.records} == {"WARNING"}


def test_silence_where_there_is_nothing_to_tell(caplog: pytest.LogCaptureFixture) -> None:
    notice = DeadLetterNotice(DLQ, FakeClock())
    notice.filed([])
    notice.look(last=True)
    assert caplog.records == []


def test_records_of_a_newer_schema_are_told_by_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()
    notice = DeadLetterNotice(DLQ, clock)
    for second in range(600):
        clock.now = 1_000.0 + second
        notice.filed(letters("unknown_fingerprint", 10))
        if second == 300:
            notice.filed(letters("empty", 2))
    first, empty, summary = [each.getMessage() for each in caplog.records]
    assert first.startswith("a record of a schema that this release does not have: events[0] offset 0")
    assert first.endswith("upgrade this consumer, then redrive those with the reason unknown_fingerprint")
    assert empty.startswith("first dead letter with reason empty")
    assert summary == "1 more dead letters in events.dlq: empty 1"
    caplog.clear()
    notice.look(last=True)
    assert [each.getMessage() for each in caplog.records] == [
        "5,999 more dead letters in events.dlq: unknown_fingerprint 5,999"
    ]
