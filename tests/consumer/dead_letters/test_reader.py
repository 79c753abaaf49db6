from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import pytest

from flowise_telemetry_consumer import current_dead_letters, list_dead_letters, redrive
from flowise_telemetry_consumer.dead_letters.reader import UnreadLetters, read_dead_letters
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.dead_letters.redriven import SETTINGS, TOOLS, Redriven
from tests.consumer.world import DLQ, GROUP, TOPIC, StopWhen, World

Resume = Callable[[Iterable[TopicPartition]], None]


def test_filed_dead_letters_are_read_back() -> None:
    world = World()
    world.send_bad(headers=(("trace", b"1"),))
    world.consumer(settings=SETTINGS).run(StopWhen(world.all_committed))
    (letter,) = read_dead_letters(world.reader(None), DLQ, control=world.control)
    assert (letter.reason, letter.stage, letter.group, letter.redrive_count) == (
        "unknown_framing", "decode", GROUP, 0,
    )  # fmt: skip
    assert letter.record.headers[0] == ("trace", b"1")
    assert letter.source[0] == TOPIC
    assert letter.source[2] == 0


def test_what_cannot_be_read_of_the_topic_is_told(it: Redriven, monkeypatch: pytest.MonkeyPatch) -> None:
    it.world.broker.break_record(TopicPartition(DLQ, 0), 2)
    unread = UnreadLetters()
    letters = [*current_dead_letters(it.world.reader(None), DLQ, control=it.world.control, unread=unread)]
    assert (len(letters), unread) == (TOOLS, UnreadLetters(unreadable=1))
    summary = list_dead_letters(it.world.reader(None), DLQ, control=it.world.control)
    assert (summary.total, summary.unread) == (TOOLS, unread)
    # What expires between the two reads is left, and named.
    reader = it.world.reader(None)
    monkeypatch.setattr(reader, "resume", _truncating(it, reader.resume))
    result = redrive(reader, None, None, catalog(), DLQ, control=it.world.control)
    assert (result.dead, result.left, result.unread) == (TOOLS, 4, UnreadLetters(unreadable=1, expired=5))
    assert str(result.unread) == "1 that the Kafka client cannot read and 5 that retention removed meanwhile"


def _truncating(it: Redriven, resume: Resume) -> Resume:
    """Removes the first five letters once the topic is read for the second time."""
    reads = itertools.count(1)

    def resumed(partitions: Iterable[TopicPartition]) -> None:
        resume(partitions)
        if next(reads) == 2:
            it.world.broker.truncate(TopicPartition(DLQ, 0), 5)

    return resumed
