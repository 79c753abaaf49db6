"""Dead letters that are brought through the pipeline again."""

from __future__ import annotations

import re

import pytest

from flowise_telemetry_consumer import SinkUnavailableError, current_dead_letters, list_dead_letters
from flowise_telemetry_consumer.dead_letters.reader import read_dead_letters
from flowise_telemetry_consumer.errors import RowRefusedError, SinkTooSlowError, TopicChangedError
from flowise_telemetry_consumer.sinks.port import Batch
from flowise_telemetry_schemas import ConfigurationError, catalog
from flowise_telemetry_transport.errors import DeliveryTimeoutError
from flowise_telemetry_transport.types import OutgoingRecord, TopicPartition
from tests.consumer.dead_letters.redriven import SETTINGS, TOOLS, Redriven
from tests.consumer.world import DLQ, GROUP, TOPIC, MemorySink, StopWhen, header_texts, value_of


def test_what_a_new_schema_mends_gets_in_and_counts_no_longer(it: Redriven) -> None:
    assert it.listed() == ({"unknown_fingerprint": TOOLS, "unknown_framing": 1}, 0, 0)
    result = it.run()
    assert (result.written, result.still_bad) == ({"tool_created": TOOLS}, {"unknown_framing": 1})
    assert it.sink.event_ids() == it.world.accepted()
    assert it.listed() == ({"unknown_framing": 1}, TOOLS, 1)
    again = it.run()
    assert (again.dead, again.written, again.still_bad) == (1, {}, {"unknown_framing": 1})


def test_what_is_still_bad_stays_once_with_its_redrives_counted(it: Redriven) -> None:
    for count in range(3):
        (letter,) = (
            letter
            for letter in current_dead_letters(it.world.reader(None), DLQ, control=it.world.control)
            if letter.reason == "unknown_framing"
        )
        assert letter.redrive_count == count
        assert letter.record.value == b"not one of ours"
        assert (letter.source_topic, letter.group) == (TOPIC, GROUP)
        it.run(reasons=("unknown_framing",))
        assert it.listed()[0]["unknown_framing"] == 1
    # Replaced and never appended: as many headers as at first.
    written = [record for record in it.world.dead_records() if record.value == b"not one of ours"]
    assert len({len(record.headers) for record in written}) == 1


def test_a_redrive_gives_up_on_what_was_redriven_too_often(it: Redriven) -> None:
    it.run(max_redrives=2)
    it.run(max_redrives=2)
    letters = len(it.world.dead_records())
    result = it.run(max_redrives=2)
    assert (result.given_up, result.still_bad) == (1, {})
    assert len(it.world.dead_records()) == letters


def test_reasons_and_a_maximum_choose(it: Redriven) -> None:
    result = it.run(reasons=("unknown_fingerprint",), max_letters=4)
    assert (result.written.total(), result.left + result.not_chosen) == (4, TOOLS + 1 - 4)
    assert it.listed()[0]["unknown_fingerprint"] == TOOLS - 4


def test_a_dry_run_changes_nothing(it: Redriven) -> None:
    before, letters = it.sink.event_ids(), it.world.dead_records()
    result = it.run(dry=True)
    assert (result.written, result.still_bad) == ({"tool_created": TOOLS}, {"unknown_framing": 1})
    assert (it.sink.event_ids(), it.world.dead_records()) == (before, letters)


def test_it_is_bounded_by_the_end_at_its_start(it: Redriven) -> None:
    def more(_batch: object) -> None:
        it.world.send_bad(b"another one")
        it.world.consumer(settings=SETTINGS).run(StopWhen(it.world.all_committed))

    it.sink.on_write = more
    assert it.run().dead == TOOLS + 1


def test_a_crash_between_sink_and_receipt_is_mended_by_the_next(it: Redriven) -> None:
    it.world.broker.fail_next_deliveries(DeliveryTimeoutError("cut off"), count=10_000)
    result = it.run()
    assert result.incomplete is not None
    assert it.sink.event_ids() == it.world.accepted()
    it.world.broker.clear_faults()
    result = it.run()
    assert (result.written, result.already_there) == ({}, {"tool_created": TOOLS})
    assert it.listed()[:2] == ({"unknown_framing": 1}, TOOLS)


def test_outages_are_waited_for(it: Redriven) -> None:
    it.sink.failures = [SinkUnavailableError("gone fishing")] * 3
    it.world.broker.fail_next_deliveries(DeliveryTimeoutError("slow"), count=2)
    assert it.run().incomplete is None
    assert it.sink.event_ids() == it.world.accepted()


def test_a_sink_that_stays_away_leaves_everything_as_it_was(it: Redriven) -> None:
    it.sink.failures = [SinkUnavailableError("gone fishing")] * 1_000
    result = it.run()
    assert (result.incomplete, result.left) == ("the sink stayed unavailable: gone fishing", TOOLS + 1)
    assert it.listed() == ({"unknown_fingerprint": TOOLS, "unknown_framing": 1}, 0, 0)


def test_a_letter_that_was_written_twice_is_redriven_once(it: Redriven) -> None:
    first = it.world.dead_records()[0]
    writer = it.world.broker.open_writer()
    writer.send(OutgoingRecord(DLQ, first.key, first.value, first.headers), lambda delivery, error: None)
    result = it.run()
    assert result.dead == TOOLS + 1
    # And a late repeat does not bring it back.
    writer.send(OutgoingRecord(DLQ, first.key, first.value, first.headers), lambda delivery, error: None)
    assert it.listed()[0] == {"unknown_framing": 1}


def test_a_record_that_had_no_bytes_is_left(it: Redriven) -> None:
    it.world.send_good(1, partition=0)
    tp = TopicPartition(TOPIC, 0)
    it.world.broker.break_record(tp, it.world.broker.log(tp).end - 1)
    it.world.consumer(settings=SETTINGS).run(StopWhen(it.world.all_committed))
    assert it.run().without_bytes == 1


def test_a_stranger_in_the_topic_keeps_its_identity(it: Redriven) -> None:
    writer = it.world.broker.open_writer()
    writer.send(OutgoingRecord(DLQ, b"k", value_of(999)), lambda delivery, error: None)
    writer.send(OutgoingRecord(DLQ, b"k", b"what is this"), lambda delivery, error: None)
    assert it.run().written.total() == TOOLS + 1
    assert it.listed()[0] == {"unknown_framing": 2}
    assert it.run().still_bad == {"unknown_framing": 2}
    assert it.listed()[0] == {"unknown_framing": 2}


def test_a_receipt_has_no_value_and_says_what_it_is_for(it: Redriven) -> None:
    it.run(reasons=("unknown_fingerprint",), max_letters=1)
    receipt = it.world.dead_records()[-1]
    assert (receipt.value, header_texts(receipt)["dlq.reason"]) == (None, "redriven")
    letters = [*read_dead_letters(it.world.reader(None), DLQ, control=it.world.control)]
    (first,) = (letter for letter in letters if letter.identity == letters[-1].identity and not letter.is_receipt)
    assert (first.record.key, letters[-1].redrive_count) == (receipt.key, 1)


def test_each_group_gets_its_own_letters_into_its_own_sink(it: Redriven) -> None:
    other = it.consume_as("parquet")
    assert it.run(group=GROUP).written == {"tool_created": TOOLS}
    assert it.sink.event_ids() == it.world.accepted() != other.event_ids()
    summary = list_dead_letters(it.world.reader(None), DLQ, group="parquet", control=it.world.control)
    assert (summary.by_reason["unknown_fingerprint"], summary.redriven) == (TOOLS, 0)
    result = it.run(group="parquet", sink=other)
    assert (result.dead, result.written) == (TOOLS + 1, {"tool_created": TOOLS})
    assert other.event_ids() == it.world.accepted()
    assert it.listed()[:2] == ({"unknown_framing": 2}, 2 * TOOLS)
    letters = [*current_dead_letters(it.world.reader(None), DLQ, group="parquet", control=it.world.control)]
    assert [(letter.group, letter.redrive_count) for letter in letters] == [("parquet", 1)]


def test_of_several_groups_one_has_to_be_named(it: Redriven) -> None:
    other = it.consume_as("parquet")
    letters, rows = it.world.dead_records(), (it.sink.event_ids(), other.event_ids())
    with pytest.raises(ConfigurationError, match=r"groups: parquet \(11\), service \(11\); name the one") as caught:
        it.run()
    assert caught.value.argument == "group"
    assert (it.world.dead_records(), (it.sink.event_ids(), other.event_ids())) == (letters, rows)
    # Also once nothing is left for one of them: its sink is still another one.
    it.run(group="parquet", sink=other, reasons=("unknown_fingerprint",))
    with pytest.raises(ConfigurationError, match=r"parquet \(1\), service \(11\)"):
        it.run(dry=True)


def test_a_group_that_filed_nothing_has_nothing_to_redrive(it: Redriven) -> None:
    result = it.run(group="nobody")
    assert (result.dead, result.by_group) == (0, {GROUP: TOOLS + 1})


def test_a_topic_that_was_made_again_has_letters_of_its_own(it: Redriven) -> None:
    it.run()
    gone = it.world.dead_records()
    # Of the same places as those that were redriven: the topic's offsets began again, and its records are younger.
    writer = it.world.broker.open_writer()
    for record in gone[: TOOLS + 1]:
        headers = tuple(
            (name, b"1700000000999" if name == "dlq.source.timestamp" else value) for name, value in record.headers
        )
        writer.send(OutgoingRecord(DLQ, record.key, record.value, headers), lambda delivery, error: None)
    assert it.listed()[:2] == ({"unknown_fingerprint": TOOLS, "unknown_framing": 2}, TOOLS)
    result = it.run(sink=_prepared(), new_sink=True)
    assert (result.written, result.still_bad) == ({"tool_created": TOOLS}, {"unknown_framing": 2})
    assert it.listed()[:2] == ({"unknown_framing": 2}, 2 * TOOLS)


def test_a_dead_letter_topic_that_is_made_again_meanwhile_is_told(
    it: Redriven, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, sink = it.world.dead_records(), MemorySink()

    def make_again(_schemas: object) -> None:
        it.world.broker.recreate(DLQ)
        writer = it.world.broker.open_writer()
        for record in there:
            again = OutgoingRecord(DLQ, record.key, record.value, record.headers, partition=record.partition)
            writer.send(again, lambda delivery, error: None)

    monkeypatch.setattr(sink, "prepare", make_again)
    with pytest.raises(TopicChangedError, match="was deleted and created again while it was read: its id has changed"):
        it.run(sink=sink, new_sink=True)
    assert sink.counts() == {}


def test_a_letter_without_a_time_stays_one(it: Redriven) -> None:
    writer = it.world.broker.open_writer()
    names = ("dlq.source.topic", "dlq.source.partition", "dlq.source.offset", "dlq.reason")
    for value, place in ((value_of(999), b"998"), (b"what is this", b"999")):
        headers = tuple(zip(names, (TOPIC.encode(), b"0", place, b"malformed"), strict=True))
        writer.send(OutgoingRecord(DLQ, b"k", value, headers), lambda delivery, error: None)
    assert it.run().written.total() == TOOLS + 1
    assert it.listed()[:2] == ({"unknown_framing": 2}, TOOLS + 1)


def test_the_same_place_twice_in_one_batch_is_two_records(it: Redriven) -> None:
    bad = next(record for record in it.world.dead_records() if record.value == b"not one of ours")
    headers = tuple((name, b"5" if name == "dlq.source.timestamp" else value) for name, value in bad.headers)
    writer = it.world.broker.open_writer()
    writer.send(OutgoingRecord(DLQ, b"k", value_of(999), headers), lambda delivery, error: None)
    assert it.run().written == {"tool_created": TOOLS + 1}
    assert it.listed()[0] == {"unknown_framing": 1}


def _prepared() -> MemorySink:
    sink = MemorySink()
    sink.prepare(list(catalog()))
    return sink


def refuse_tool(it: Redriven, number: int) -> str:
    """Have the sink refuse any batch that has this event; return its id."""
    refused = sorted(it.world.accepted() - it.sink.event_ids())[number]

    def on_write(batch: Batch) -> None:
        if any(refused in frame["event_id"] for frame in batch.frames.values()):
            raise RowRefusedError("refused: CheckViolation no_tools in tool_created")

    it.sink.on_write = on_write
    return refused


def test_a_refused_row_is_waited_for_and_named(it: Redriven) -> None:
    refused = refuse_tool(it, 4)
    result = it.run()
    assert result.incomplete is not None
    assert re.search(rf"no_tools in tool_created; event {refused} at {TOPIC}\[\d\] offset \d+$", result.incomplete)
    it.sink.on_write = lambda batch: None
    assert it.run().incomplete is None
    assert it.sink.event_ids() == it.world.accepted()


def test_a_refused_row_stays_a_dead_letter_where_that_is_wanted(it: Redriven) -> None:
    refused = refuse_tool(it, 4)
    result = it.run(on_refused="dead-letter")
    assert (result.written, result.still_bad) == (
        {"tool_created": TOOLS - 1},
        {"refused": 1, "unknown_framing": 1},
    )
    assert it.listed()[0] == {"refused": 1, "unknown_framing": 1}
    assert it.sink.event_ids() == it.world.accepted() - {refused}
    it.sink.on_write = lambda batch: None
    assert it.run(reasons=("refused",)).written == {"tool_created": 1}
    assert it.sink.event_ids() == it.world.accepted()


def test_a_batch_that_takes_too_long_is_halved(it: Redriven) -> None:
    tried: list[int] = []

    def on_write(batch: Batch) -> None:
        tried.append(sum(frame.height for frame in batch.frames.values()))
        if tried[-1] > 3:
            it.world.clock.now += 60
            raise SinkTooSlowError("canceling statement due to statement timeout")

    it.sink.on_write = on_write
    assert it.run().written == {"tool_created": TOOLS}
    assert tried[:4] == [10, 5, 2, 3]
