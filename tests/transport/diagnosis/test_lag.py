"""A group that retention overtakes, or soon will: told before it happens, and when it has."""

from __future__ import annotations

import time

import pytest

from flowise_telemetry_transport import InMemoryBroker, OutgoingRecord, TopicPartition, TopicSpec
from flowise_telemetry_transport.diagnosis.finding import Finding
from flowise_telemetry_transport.diagnosis.lag import look_at_lag

TOPIC, GROUP = "events", "ours"
FIRST = TopicPartition(TOPIC, 0)
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def broker() -> InMemoryBroker:
    """Ten records, each an hour older than the next; the newest is of now."""
    broker = InMemoryBroker()
    broker.open_admin().create_topic(TopicSpec(TOPIC, 1))
    now_ms = time.time_ns() // 1_000_000
    writer = broker.open_writer()
    for number in range(10):
        writer.send(OutgoingRecord(TOPIC, None, b"x", timestamp_ms=now_ms - (9 - number) * HOUR_MS), lambda *_: None)
    writer.close(timeout_seconds=1)
    return broker


def lag(broker: InMemoryBroker, retention_ms: int | None) -> list[Finding]:
    return list(look_at_lag(broker.open_reader(group=GROUP), TOPIC, GROUP, retention_ms))


def test_a_new_group_and_one_that_keeps_up(broker: InMemoryBroker) -> None:
    (found,) = lag(broker, DAY_MS)
    assert (found.state, "begins with the oldest of 10 records" in found.says) == ("ok", True)
    broker.group(GROUP).committed[FIRST] = 4
    (found,) = lag(broker, DAY_MS)
    assert (found.state, found.says) == ("ok", "ours has 6 records of events to read")
    assert not broker.group(GROUP).members
    assert broker.group(GROUP).committed == {FIRST: 4}


def test_records_that_were_removed_unread(broker: InMemoryBroker) -> None:
    broker.group(GROUP).committed[FIRST] = 4
    broker.truncate(FIRST, 7)
    (found,) = lag(broker, DAY_MS)
    assert found.state == "failed"
    assert "removed up to 3 records of events that ours had not read: raise retention.ms" in found.line


@pytest.mark.parametrize(("committed", "state"), [(0, "warning"), (9, "ok"), (10, "ok")])
def test_records_that_soon_will_be(committed: int, state: str, broker: InMemoryBroker) -> None:
    broker.group(GROUP).committed[FIRST] = committed
    (found,) = lag(broker, 10 * HOUR_MS)  # records older than 8 hours are near its end
    assert found.state == state
    assert state == "ok" or "those of partition 0 are removed unread within 2 hours" in found.says


def test_a_retention_that_may_not_be_seen_or_has_no_end(broker: InMemoryBroker) -> None:
    broker.group(GROUP).committed[FIRST] = 0
    assert [each.state for each in lag(broker, None)] == ["ok", "not tried"]
    assert [each.state for each in lag(broker, -1)] == ["ok"]
