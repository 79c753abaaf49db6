from __future__ import annotations

from flowise_telemetry_consumer import list_dead_letters
from flowise_telemetry_transport.types import OutgoingRecord
from tests.consumer.dead_letters.redriven import SETTINGS, Redriven
from tests.consumer.world import DLQ, StopWhen, World, value_of


def test_listing_counts_each_record_once() -> None:
    world = World()
    world.send_good(3)
    world.send_bad(b"")
    world.send_bad(None)
    world.send_bad(None)
    world.consumer(settings=SETTINGS).run(StopWhen(world.all_committed))
    writer = world.broker.open_writer()
    (first, *_) = world.dead_records()
    for headers in (first.headers, (), (("dlq.reason", b"\xff"),)):
        writer.send(OutgoingRecord(DLQ, None, None, headers), lambda _delivery, _error: None)
    summary = list_dead_letters(world.reader(None), DLQ, control=world.control)
    assert (summary.total, summary.repeats, summary.incomplete) == (5, 1, None)
    assert summary.by_reason == {"empty": 1, "tombstone": 2, "unknown": 1, "\ufffd": 1}
    assert summary.by_reason_and_schema["tombstone", "unknown"] == 2


def test_a_summary_groups_by_event_and_hour(it: Redriven) -> None:
    cut = value_of(3)[:-3]
    it.world.send_bad(cut)
    it.world.consumer(settings=SETTINGS).run(StopWhen(it.world.all_committed))
    summary = list_dead_letters(it.world.reader(None), DLQ, control=it.world.control)
    (group,) = (group for group in summary.groups if group.reason == "truncated")
    assert (group.event, group.schema, group.hour) == ("tool_created", "tool_created.v1", "2023-11-14T22")
    assert summary.oldest_ms == it.world.clock.now_ms()
