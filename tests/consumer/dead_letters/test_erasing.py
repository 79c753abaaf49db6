"""Dead letters of erased events: ended, and what their topic keeps until when is told."""

from __future__ import annotations

import pytest

from flowise_telemetry_consumer.dead_letters.erasing import ErasedLetters, erase_letters
from flowise_telemetry_consumer.dead_letters.settle import SettledLetters
from flowise_telemetry_consumer.sinks.erasures import ErasedIds
from tests.consumer.dead_letters.redriven import TOOLS, Redriven
from tests.consumer.world import DLQ
from tests.schemas.records import ENVELOPE

INSTANCE = ErasedIds.of({"instance_id": [ENVELOPE.instance_id]})
NOBODY = ErasedIds.of({"instance_id": ["11111111-2222-4333-8444-555555555555"]})


def erased(it: Redriven, ids: ErasedIds, *, dry: bool = False) -> ErasedLetters:
    writer = None if dry else it.world.broker.open_writer()
    return erase_letters(it.world.reader(None), writer, DLQ, ids, control=it.world.control)


def test_letters_that_hold_an_id_are_ended_by_tombstones(it: Redriven) -> None:
    before = it.world.dead_records()
    assert erased(it, NOBODY).settled.by_reason == {}
    planned = erased(it, INSTANCE, dry=True)
    assert (planned.settled.by_reason, it.world.dead_records()) == ({"unknown_fingerprint": TOOLS}, before)
    assert erased(it, INSTANCE).settled.by_reason == {"unknown_fingerprint": TOOLS}
    receipts = it.world.dead_records()[len(before) :]
    holding = [letter.key for letter in before if ENVELOPE.instance_id.encode() in (letter.value or b"")]
    assert [receipt.key for receipt in receipts] == holding
    assert {receipt.value for receipt in receipts} == {None}
    assert it.listed()[0] == {"unknown_framing": 1}
    again = erased(it, INSTANCE)
    assert (again.settled.by_reason, again.records) == ({}, TOOLS)  # what the topic keeps is still told


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"retention.ms": "1000"}, "all 3 records, until 1970-01-01T00:00:06.000Z: retention removes them then"),
        ({"cleanup.policy": "delete", "retention.ms": "-1"}, "all 3 records, for ever"),
        ({"cleanup.policy": "compact"}, "the records until the topic is compacted: each key has a tombstone; 1"),
        ({"cleanup.policy": "compact,delete", "retention.ms": "1000"}, "1 without a key stay until 1970-01-01"),
    ],
)
def test_what_the_topic_keeps_is_said_by_its_settings(settings: dict[str, str], said: str) -> None:
    found = ErasedLetters(SettledLetters(DLQ), records=3, without_key=1, latest_ms=5_000)
    assert said in found.remains(settings)
    assert found.remains(settings).count("_") == 0
    assert ErasedLetters(SettledLetters(DLQ)).remains(settings).startswith("nothing")
