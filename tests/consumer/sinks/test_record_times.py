from __future__ import annotations

from flowise_telemetry_consumer.sinks.record_times import RecordTimes
from flowise_telemetry_transport.types import OutgoingRecord
from tests.consumer.world import FakeClock

NOW_MS = FakeClock().now_ms()
DAY_MS = 86_400_000


def aged(*ages_ms: int) -> list[OutgoingRecord]:
    return [OutgoingRecord("copy", b"k", b"v", timestamp_ms=NOW_MS - age_ms) for age_ms in ages_ms]


def test_what_the_topic_refuses_is_dated_now_and_what_it_removes_is_counted() -> None:
    settings = {"retention.ms": str(7 * DAY_MS), "message.timestamp.after.max.ms": "3600000"}
    times = RecordTimes.from_settings(settings, FakeClock())
    kept = times.keep_within([*aged(0, 8 * DAY_MS, -DAY_MS, -60_000), OutgoingRecord("copy", b"k", b"v")])
    assert [record.timestamp_ms for record in kept] == [NOW_MS, NOW_MS - 8 * DAY_MS, NOW_MS, NOW_MS + 60_000, None]
    assert (times.expiring, times.redated) == (1, 1)
    assert "keeps records for 7.0 days" in str(times.warning())
    assert [line.partition(" ")[0] for line in times.summary()] == ["1", "1"]


def test_too_old_for_the_topic_is_dated_now_too() -> None:
    times = RecordTimes.from_settings({"message.timestamp.before.max.ms": str(DAY_MS)}, FakeClock())
    assert [record.timestamp_ms for record in times.keep_within(aged(2 * DAY_MS))] == [NOW_MS]


def test_a_topic_that_keeps_all_or_dates_all_has_nothing_to_tell() -> None:
    for settings in (
        {},
        {"retention.ms": "-1"},
        {"retention.ms": "1", "message.timestamp.type": "LogAppendTime", "message.timestamp.after.max.ms": "0"},
        {"retention.ms": "1", "cleanup.policy": "compact"},
    ):
        times = RecordTimes.from_settings(settings, FakeClock())
        records = aged(-DAY_MS, 900 * DAY_MS)
        assert list(times.keep_within(records)) == records
        assert (times.warning(), times.summary()) == (None, [])
