"""Commits whose answers come later, as a client hands them out with a poll."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pytest

from flowise_telemetry_consumer.monitoring.counters import ConsumerCounters
from flowise_telemetry_consumer.service.committer import Committer
from flowise_telemetry_schemas import TelemetryError
from flowise_telemetry_transport.errors import AuthorizationError, BrokerUnavailableError, CommitRejectedError
from flowise_telemetry_transport.memory import InMemoryBroker
from flowise_telemetry_transport.memory.reader import InMemoryReader
from flowise_telemetry_transport.types import OnCommitted, TopicPartition
from tests.consumer.world import FakeClock

ZERO, ONE = TopicPartition("events", 0), TopicPartition("events", 1)
WAIT_SECONDS = 5.0


class LaterReader(InMemoryReader):
    """A reader that answers when it is told to."""

    def __init__(self) -> None:
        super().__init__(InMemoryBroker().cluster, "service", 1)
        self.sent: list[tuple[dict[TopicPartition, int], OnCommitted]] = []
        self.held = frozenset({ZERO, ONE})

    def assignment(self) -> frozenset[TopicPartition]:
        return self.held

    def begin_commit(
        self, offsets: Mapping[TopicPartition, int], on_done: OnCommitted, *, timeout_seconds: float
    ) -> None:
        self.sent.append((dict(offsets), on_done))

    def answer(self, error: TelemetryError | None = None) -> dict[TopicPartition, int]:
        """Answer the oldest; return its offsets."""
        offsets, on_done = self.sent.pop(0)
        on_done(error)
        return offsets


@pytest.fixture
def reader() -> LaterReader:
    return LaterReader()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def counters() -> ConsumerCounters:
    return ConsumerCounters(polled_at=0.0)


@pytest.fixture
def committer(reader: LaterReader, counters: ConsumerCounters, clock: FakeClock) -> Committer:
    return Committer(reader, counters, clock, timeout_seconds=WAIT_SECONDS)


def test_what_was_sent_is_committed_once_it_is_answered(
    committer: Committer, reader: LaterReader, counters: ConsumerCounters
) -> None:
    committer.handled({ZERO: 3, ONE: 1})
    committer.commit()
    committer.commit()
    assert (len(reader.sent), counters.committed, counters.commits) == (1, {}, 0)
    committer.handled({ZERO: 5})
    committer.commit()
    assert reader.answer() == {ZERO: 3, ONE: 1}
    assert counters.committed == {ZERO: 3, ONE: 1}
    assert reader.answer() == {ZERO: 5}
    assert (counters.committed, counters.commits) == ({ZERO: 5, ONE: 1}, 2)
    committer.commit()
    assert not reader.sent


def test_what_is_not_answered_in_time_is_sent_again_and_a_late_answer_counts(
    committer: Committer,
    reader: LaterReader,
    counters: ConsumerCounters,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    committer.handled({ZERO: 3})
    committer.commit()
    clock.sleep(WAIT_SECONDS - 0.1)
    committer.commit_if_due()
    assert (len(reader.sent), caplog.records) == (1, [])
    clock.sleep(0.1)
    committer.commit_if_due()
    assert [line.getMessage() for line in caplog.records] == ["commit: the brokers did not answer within 5 s"]
    assert [offsets for offsets, _ in reader.sent] == [{ZERO: 3}, {ZERO: 3}]
    reader.answer()
    assert counters.committed == {ZERO: 3}
    clock.sleep(WAIT_SECONDS)
    committer.commit_if_due()
    assert len(reader.sent) == 1


def test_what_failed_is_sent_again_with_what_was_handled_since(
    committer: Committer, reader: LaterReader, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    committer.handled({ZERO: 3})
    committer.commit()
    committer.handled({ZERO: 7})
    reader.answer(BrokerUnavailableError("away"))
    assert [(line.levelno, line.getMessage()) for line in caplog.records] == [(logging.WARNING, "commit: away")]
    committer.commit_if_due()
    assert not reader.sent  # a second after the last try at the earliest
    clock.sleep(1.0)
    committer.commit_if_due()
    assert reader.answer() == {ZERO: 7}


def test_of_failures_in_a_row_the_first_is_said_and_then_their_end(
    committer: Committer, reader: LaterReader, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    for offset in range(1, 6):
        committer.handled({ZERO: offset})
        committer.commit()
        reader.answer(BrokerUnavailableError("away") if offset < 5 else None)
    assert [line.getMessage() for line in caplog.records] == ["commit: away", "commits work again"]


def test_what_was_forgotten_before_the_answer_is_not_ours(
    committer: Committer, reader: LaterReader, counters: ConsumerCounters
) -> None:
    committer.handled({ZERO: 3, ONE: 4})
    committer.commit()
    committer.forget([ONE])
    reader.answer()
    assert counters.committed == {ZERO: 3}


def test_a_late_rejection_forgets_what_is_no_longer_assigned(
    committer: Committer, reader: LaterReader, counters: ConsumerCounters, clock: FakeClock
) -> None:
    committer.handled({ZERO: 3, ONE: 4})
    committer.commit()
    reader.held = frozenset({ZERO})
    reader.answer(CommitRejectedError("rebalanced"))
    assert counters.rejected_commits == 1
    clock.sleep(1.0)
    committer.commit_if_due()
    assert reader.answer() == {ZERO: 3}


def test_an_error_that_no_try_mends_is_raised_outside_the_answer(committer: Committer, reader: LaterReader) -> None:
    committer.handled({ZERO: 3})
    committer.commit()
    reader.answer(AuthorizationError("no Read on the group"))
    with pytest.raises(AuthorizationError, match="no Read on the group"):
        committer.commit()
