"""Values that were too large for the dead-letter topic, fetched from the source topic."""

from __future__ import annotations

import pytest

from flowise_telemetry_consumer import current_dead_letters
from flowise_telemetry_consumer.dead_letters.stored import StoredDeadLetter
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.dead_letters.redriven import TOOLS, Redriven
from tests.consumer.world import DLQ, TOPIC, World

MAX_BYTES = 560  # of a letter without its value, but not of one with an event


@pytest.fixture
def it() -> Redriven:
    return Redriven(World(dlq_max_bytes=MAX_BYTES))


def letters(it: Redriven) -> list[StoredDeadLetter]:
    return [*current_dead_letters(it.world.reader(None), DLQ, control=it.world.control)]


def test_a_cut_value_is_fetched_from_its_source(it: Redriven) -> None:
    cut = sum(letter.lacks_bytes for letter in letters(it))
    assert cut >= TOOLS
    result = it.run()
    assert (result.written, result.without_bytes, result.fetched) == ({"tool_created": TOOLS}, 0, cut)
    assert it.sink.event_ids() == it.world.accepted()


def test_a_dry_run_fetches_too(it: Redriven) -> None:
    before = it.world.dead_records()
    assert it.run(dry=True).written == {"tool_created": TOOLS}
    assert it.world.dead_records() == before


def test_what_is_still_bad_is_cut_again(it: Redriven) -> None:
    it.world.send_bad(bytes(5_000))
    it.consume()
    assert it.run(reasons=("unknown_framing",)).still_bad == {"unknown_framing": 2}
    (letter,) = (letter for letter in letters(it) if letter.value_bytes == 5_000)
    assert (letter.cut, letter.record.value, letter.redrive_count) == ("value", None, 1)
    assert it.run(reasons=("unknown_framing",)).still_bad == {"unknown_framing": 2}


def test_what_retention_removed_stays_without_bytes(it: Redriven) -> None:
    for tp in it.world.partitions:
        it.world.broker.truncate(tp, it.world.broker.log(tp).end)
    result = it.run()
    assert (result.written, result.without_bytes) == ({}, TOOLS)


def test_what_compaction_removed_stays_without_bytes(it: Redriven) -> None:
    for letter in letters(it):
        it.world.broker.remove_records(TopicPartition(TOPIC, letter.identity.partition), [letter.identity.offset])
    assert it.run().without_bytes == TOOLS


def test_a_topic_made_again_has_other_records_at_the_same_places(it: Redriven) -> None:
    it.world.broker.recreate(TOPIC)
    it.world.sent.clear()
    it.world.clock.wall_ms += 1
    it.world.send_good(60)
    result = it.run()
    assert (result.written, result.without_bytes) == ({}, TOOLS)
