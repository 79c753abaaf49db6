"""Dead letters that are discarded, and receipts that are taken back."""

from __future__ import annotations

from flowise_telemetry_consumer import current_dead_letters, list_dead_letters
from flowise_telemetry_consumer.dead_letters.letter_filter import ALL_LETTERS, LetterFilter
from flowise_telemetry_consumer.dead_letters.settle import SettledLetters, discard, restore
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.errors import DeliveryTimeoutError
from flowise_telemetry_transport.types import OutgoingRecord
from tests.consumer.dead_letters.redriven import TOOLS, Redriven
from tests.consumer.world import DLQ, header_texts

FRAMING = LetterFilter.of(catalog(), reasons=["unknown_framing"])


def settle(it: Redriven, act: str, chosen: LetterFilter = ALL_LETTERS, *, dry: bool = False) -> SettledLetters:
    writer = None if dry else it.world.broker.open_writer()
    which = {"discard": discard, "restore": restore}[act]
    return which(it.world.reader(None), writer, DLQ, chosen, control=it.world.control)


def test_a_discarded_letter_has_a_receipt_and_is_not_redriven(it: Redriven) -> None:
    before = it.world.dead_records()
    assert settle(it, "discard", FRAMING, dry=True).by_reason == {"unknown_framing": 1}
    assert it.world.dead_records() == before
    result = settle(it, "discard", FRAMING)
    assert (result.there, result.by_reason) == (TOOLS + 1, {"unknown_framing": 1})
    receipt = it.world.dead_records()[-1]
    texts = header_texts(receipt)
    assert (receipt.value, texts["dlq.reason"], "dlq.discarded.at" in texts) == (None, "discarded", True)
    summary = list_dead_letters(it.world.reader(None), DLQ, control=it.world.control)
    assert (summary.total, summary.discarded, summary.redriven) == (TOOLS, 1, 0)
    assert it.run().still_bad == {}
    assert settle(it, "discard", FRAMING).by_reason == {}


def test_what_was_redriven_and_discarded_comes_back_once(it: Redriven) -> None:
    it.run(reasons=("unknown_fingerprint",))
    settle(it, "discard", FRAMING)
    assert it.listed()[0] == {}
    for _ in range(2):  # nothing is left for the second
        settle(it, "restore")
        assert it.listed()[0] == {"unknown_fingerprint": TOOLS, "unknown_framing": 1}
    letters = [*current_dead_letters(it.world.reader(None), DLQ, control=it.world.control)]
    assert {letter.redrive_count for letter in letters} == {1, 2}  # one above the receipt's
    result = it.run()
    assert (result.already_there, result.still_bad) == ({"tool_created": TOOLS}, {"unknown_framing": 1})
    assert it.listed()[:1] == ({"unknown_framing": 1},)


def test_only_receipts_from_a_time_on_are_taken_back(it: Redriven) -> None:
    it.run(reasons=("unknown_fingerprint",), max_letters=4)
    it.world.clock.wall_ms += 60_000
    since_ms = it.world.clock.now_ms()
    it.run(reasons=("unknown_fingerprint",))
    reader, writer = it.world.reader(None), it.world.broker.open_writer()
    result = restore(reader, writer, DLQ, ALL_LETTERS, ended_since_ms=since_ms, control=it.world.control)
    assert result.by_reason == {"unknown_fingerprint": TOOLS - 4}


def test_a_stranger_is_discarded_and_comes_back_as_itself(it: Redriven) -> None:
    it.world.broker.open_writer().send(OutgoingRecord(DLQ, b"k", b"what is this"), lambda delivery, error: None)
    unknown = LetterFilter.of(catalog(), reasons=["unknown"])
    (before,) = current_dead_letters(it.world.reader(None), DLQ, chosen=unknown, control=it.world.control)
    assert settle(it, "discard", unknown).by_reason == {"unknown": 1}
    assert settle(it, "restore", unknown).by_reason == {"unknown": 1}
    (after,) = current_dead_letters(it.world.reader(None), DLQ, chosen=unknown, control=it.world.control)
    assert (after.identity, after.record.value) == (before.identity, b"what is this")


def test_a_topic_that_stays_away_is_told(it: Redriven) -> None:
    it.world.broker.fail_next_deliveries(DeliveryTimeoutError("cut off"), count=10_000)
    result = settle(it, "discard")
    assert result.incomplete is not None
    assert result.by_reason == {}
    it.world.broker.clear_faults()
    assert settle(it, "discard").by_reason.total() == TOOLS + 1
