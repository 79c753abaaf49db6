"""The contract of the ports for consumer groups, on every client with a real broker and on the in-memory broker."""

from __future__ import annotations

import time
from collections.abc import Collection

import pytest

from flowise_telemetry_schemas import TelemetryError
from flowise_telemetry_transport import (
    CommitRejectedError,
    OutgoingRecord,
    RecordReader,
    TopicPartition,
)
from flowise_telemetry_transport.types import Commit, Record
from tests.thoroughness import IS_CI
from tests.transport.backends import COOPERATIVE_BACKENDS, GROUP_BACKENDS, Backend, read, settle, until, write

pytestmark = pytest.mark.parametrize(
    "backend", GROUP_BACKENDS + COOPERATIVE_BACKENDS if IS_CI else GROUP_BACKENDS, indirect=True
)


class Log:
    """The partitions that a reader's callbacks were called with."""

    def __init__(self) -> None:
        self.assigned: list[frozenset[TopicPartition]] = []
        self.revoked: list[frozenset[TopicPartition]] = []

    def subscribe(self, reader: RecordReader, topic: str) -> None:
        reader.subscribe(
            [topic],
            on_assigned=lambda partitions: self.assigned.append(frozenset(partitions)),
            on_revoked=lambda partitions: self.revoked.append(frozenset(partitions)),
        )


def spread(topic: str, count: int) -> list[OutgoingRecord]:
    return [OutgoingRecord(topic, b"k", str(n).encode(), partition=n % 4) for n in range(count)]


def test_a_group_starts_at_the_earliest_and_goes_on_from_its_commits(backend: Backend) -> None:
    topic, group = backend.new_topic(), backend.new_group()
    write(backend, spread(topic, 40))
    first, log = backend.reader(group), Log()
    log.subscribe(first, topic)
    assert first.assignment() == frozenset()
    assert len(read(first, count=40)) == 40
    everything = frozenset(first.partitions_of(topic))
    assert log.assigned == [everything] == [first.assignment()]
    assert first.committed(everything) == dict.fromkeys(everything)
    first.commit(dict.fromkeys(everything, 7), timeout_seconds=10)
    assert first.committed(everything) == dict.fromkeys(everything, 7)
    assert set(first.commits(everything).values()) == {Commit(7, "")}
    told = {tp: f"über {tp.partition}" for tp in everything if tp.partition}
    first.set_commit_metadata(told)
    first.commit(dict.fromkeys(everything, 7), timeout_seconds=10)
    first.close()
    assert log.revoked == []

    second = backend.reader(group)
    second.subscribe([topic])
    rest = read(second, count=12)
    assert second.commits(everything) == {tp: Commit(7, told.get(tp, "")) for tp in everything}
    assert sorted((record.partition, record.offset) for record in rest) == [(p, n) for p in range(4) for n in (7, 8, 9)]


def test_committing_nothing_does_nothing(backend: Backend) -> None:
    topic, group = backend.new_topic(), backend.new_group()
    reader = backend.reader(group)
    reader.commit({}, timeout_seconds=5)
    partitions = reader.partitions_of(topic)
    assert reader.committed(partitions) == dict.fromkeys(partitions)


def test_the_position_of_a_new_member_is_where_it_will_read(backend: Backend) -> None:
    topic, group = backend.new_topic(), backend.new_group()
    write(backend, spread(topic, 8))
    reader = backend.reader(group)
    partitions = reader.partitions_of(topic)
    reader.subscribe([topic])
    until(lambda: bool(reader.assignment()), reader)
    reader.pause(partitions)
    for tp in partitions:
        reader.seek(tp, 0)
    reader.commit({partitions[1]: 2}, timeout_seconds=10)
    reader.close()
    other = backend.reader(group)
    other.subscribe([topic], on_assigned=lambda _: other.pause(partitions))
    until(lambda: bool(other.assignment()), other)
    assert [other.position(tp) for tp in partitions] == [0, 2, 0, 0]
    other.resume(partitions)
    assert len(read(other, count=6)) == 6


def test_a_seek_in_on_assigned_decides_where_reading_starts(backend: Backend) -> None:
    topic, group = backend.new_topic(), backend.new_group()
    write(backend, spread(topic, 40))
    reader = backend.reader(group)

    def start_late(partitions: Collection[TopicPartition]) -> None:
        for tp in partitions:
            reader.seek(tp, 9)

    reader.subscribe([topic], on_assigned=start_late)
    assert sorted((record.partition, record.offset) for record in read(reader, count=4)) == [(p, 9) for p in range(4)]


def test_a_revoked_member_commits_in_its_callback_and_the_other_goes_on_from_there(backend: Backend) -> None:
    topic, group = backend.new_topic(), backend.new_group()
    write(backend, spread(topic, 40))
    first, second, log = backend.reader(group), backend.reader(group), Log()
    revoked: list[frozenset[TopicPartition]] = []

    def give_up(partitions: Collection[TopicPartition]) -> None:
        revoked.append(frozenset(partitions))
        first.commit({tp: first.position(tp) for tp in partitions}, timeout_seconds=5)

    first.subscribe([topic], on_revoked=give_up)
    seen = read(first, count=40)
    everything = first.assignment()
    log.subscribe(second, topic)
    seen += settle(first, second)
    assert revoked[0] == (everything if backend.is_eager else second.assignment())
    assert first.assignment() | second.assignment() == everything
    assert log.assigned[-1] == second.assignment()

    write(backend, spread(topic, 8))
    fresh = [(record.partition, record.offset) for record in read(first, second, count=8)]
    assert sorted(fresh) == [(partition, offset) for partition in range(4) for offset in (10, 11)]
    assert len(seen) == 40


def in_the_middle(backend: Backend) -> tuple[RecordReader, list[Record]]:
    """A member that has read seven of forty records, and these."""
    topic = backend.new_topic()
    write(backend, spread(topic, 40))
    reader = backend.reader(backend.new_group())
    reader.subscribe([topic])
    return reader, read(reader, count=7)


def test_a_commit_that_is_begun_is_answered_with_a_poll_and_reading_goes_on(backend: Backend) -> None:
    reader, seen = in_the_middle(backend)
    answers: list[TelemetryError | None] = []
    offsets = dict.fromkeys(reader.assignment(), 1)
    reader.begin_commit(offsets, answers.append, timeout_seconds=5)

    def answered() -> bool:
        seen.extend(reader.poll(timeout_seconds=0.1, max_records=5))
        return bool(answers) and len(seen) == 40

    until(answered)
    assert answers == [None]
    assert reader.committed(offsets.keys()) == offsets
    assert len({(record.partition, record.offset) for record in seen}) == 40


def test_a_commit_in_the_middle_of_reading_skips_and_doubles_nothing(backend: Backend) -> None:
    reader, seen = in_the_middle(backend)
    for offset in (1, 2):
        reader.commit(dict.fromkeys(reader.assignment(), offset), timeout_seconds=10)
    seen += read(reader, count=40 - len(seen))
    assert len({(record.partition, record.offset) for record in seen}) == len(seen) == 40


def test_a_commit_for_partitions_of_others_is_rejected(backend: Backend) -> None:
    topic, group = backend.new_topic(), backend.new_group()
    write(backend, spread(topic, 8))
    first, second = backend.reader(group), backend.reader(group)
    first.subscribe([topic])
    read(first, count=8)
    second.subscribe([topic])
    settle(first, second)
    offsets = dict.fromkeys(second.assignment(), 2)
    with pytest.raises(CommitRejectedError):
        first.commit(offsets, timeout_seconds=5)
    answers: list[TelemetryError | None] = []
    first.begin_commit(offsets, answers.append, timeout_seconds=5)
    assert [type(answer) for answer in answers] == [CommitRejectedError]
    second.commit(offsets, timeout_seconds=5)
    assert second.committed(offsets.keys()) == offsets


def test_the_share_of_a_member_that_leaves_goes_to_the_others(backend: Backend) -> None:
    topic, group = backend.new_topic(), backend.new_group()
    first, second = backend.reader(group), backend.reader(group)
    first.subscribe([topic])
    second.subscribe([topic])
    settle(first, second)
    second.close()
    until(lambda: len(first.assignment()) == 4, first)


@pytest.mark.slow
def test_a_share_given_while_nobody_polls_is_kept(backend: Backend) -> None:
    topic, group = backend.new_topic(), backend.new_group()
    first, second, third = (backend.reader(group) for _ in range(3))
    of_first, of_second = Log(), Log()
    of_first.subscribe(first, topic)
    of_second.subscribe(second, topic)
    settle(first, second)
    of_first.revoked.clear()
    of_second.revoked.clear()
    third.subscribe([topic])
    if backend.is_eager:
        until(lambda: bool(of_first.revoked), third, first)
        # The broker answers all three members when the last has joined, and only that one is polling then.
        until(lambda: bool(of_second.revoked), second)
    else:
        until(lambda: bool(of_first.revoked or of_second.revoked), third, first, second)
        until(lambda: bool(third.assignment()), first, second, third)
    until(lambda: bool(first.assignment()), first)


@pytest.mark.parametrize("callback", ["on_assigned", "on_revoked"])
def test_what_a_rebalance_callback_raises_comes_out_of_poll(backend: Backend, callback: str) -> None:
    topic, group = backend.new_topic(), backend.new_group()
    write(backend, spread(topic, 8))
    first, second = backend.reader(group), backend.reader(group)
    armed = True

    def fail(partitions: Collection[TopicPartition]) -> None:
        nonlocal armed
        if armed:
            armed = False
            raise LookupError("flush failed")

    if callback == "on_assigned":
        first.subscribe([topic], on_assigned=fail)
        with pytest.raises(LookupError, match="flush failed"):
            until(lambda: False, first)
        assert len(read(first, count=8)) == 8
        return
    first.subscribe([topic], on_revoked=fail)
    read(first, count=8)
    second.subscribe([topic])
    with pytest.raises(LookupError, match="flush failed"):
        until(lambda: False, first, second)
    settle(first, second)


def test_pauses_end_with_a_reassignment(backend: Backend) -> None:
    topic, group = backend.new_topic(), backend.new_group()
    first, second = backend.reader(group), backend.reader(group)
    first.subscribe([topic])
    settle(first)
    first.pause(first.assignment())
    second.subscribe([topic])
    settle(first, second)
    write(backend, spread(topic, 8))
    if not backend.is_eager:  # what stays stays paused
        assert len(read(second, count=4)) == 4
        first.resume(first.assignment())
        assert len(read(first, count=4)) == 4
        return
    records = [(record.partition, record.offset) for record in read(first, second, count=8)]
    assert len(set(records)) == 8


def test_closing_a_member_takes_no_longer_than_told(backend: Backend) -> None:
    topic, group = backend.new_topic(), backend.new_group()
    reader = backend.reader(group)
    reader.subscribe([topic])
    settle(reader)
    began = time.monotonic()
    reader.close(timeout_seconds=5)
    reader.close(timeout_seconds=5)
    assert time.monotonic() - began < 10


def test_what_was_not_committed_before_a_rebalance_is_read_again(backend: Backend) -> None:
    topic, group = backend.new_topic(), backend.new_group()
    write(backend, spread(topic, 40))
    first, second = backend.reader(group), backend.reader(group)
    first.subscribe([topic])
    read(first, count=40)
    second.subscribe([topic])
    again = {(record.partition, record.offset) for record in settle(first, second)}
    moved = 40 if backend.is_eager else 10 * len(second.assignment())

    def all_again() -> bool:
        for reader in (first, second):
            polled = reader.poll(timeout_seconds=0.1, max_records=100)
            again.update((record.partition, record.offset) for record in polled)
        return len(again) == moved

    until(all_again)


def test_a_member_that_rejoins_starts_again_from_what_is_committed(backend: Backend) -> None:
    topic, group = backend.new_topic(), backend.new_group()
    write(backend, spread(topic, 40))
    reader, log = backend.reader(group), Log()
    log.subscribe(reader, topic)
    read(reader, count=40)
    everything = frozenset(reader.partitions_of(topic))
    reader.commit(dict.fromkeys(everything, 7), timeout_seconds=10)

    reader.rejoin()
    assert reader.assignment() == frozenset()
    with pytest.raises(CommitRejectedError):
        reader.commit(dict.fromkeys(everything, 9), timeout_seconds=10)
    rest = read(reader, count=12)
    assert sorted((record.partition, record.offset) for record in rest) == [(p, n) for p in range(4) for n in (7, 8, 9)]
    assert log.revoked == []
    assert log.assigned == [everything, everything]
