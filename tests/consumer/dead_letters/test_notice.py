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
