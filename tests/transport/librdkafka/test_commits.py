"""Which answer of librdkafka belongs to which commit."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from flowise_telemetry_schemas import TelemetryError
from flowise_telemetry_transport.errors import BrokerUnavailableError, CommitRejectedError
from flowise_telemetry_transport.librdkafka.commits import Commits


class Client:
    """A consumer that takes commits, or refuses them."""

    def __init__(self, refusal: KafkaError | None = None) -> None:
        self.refusal = refusal
        self.taken: list[Sequence[Any]] = []

    def commit(self, *, offsets: Sequence[Any], asynchronous: bool) -> None:
        assert asynchronous
        if self.refusal is not None:
            raise KafkaException(self.refusal)
        self.taken.append(offsets)


def offsets(*numbers: int) -> list[Any]:
    return [TopicPartition("events", partition, number) for partition, number in enumerate(numbers)]


def test_each_answer_goes_to_its_commit_in_any_order() -> None:
    commits, client = Commits(), Client()
    answers: list[tuple[str, TelemetryError | None]] = []
    commits.send(client, offsets(1, 2), "first", lambda error: answers.append(("first", error)))
    commits.send(client, offsets(3, 2), "second", lambda error: answers.append(("second", error)))
    commits.answered(None, list(reversed(offsets(3, 2))))
    commits.answered(None, offsets(9, 9))  # of nobody
    commits.answered(None, offsets(1, 2))
    commits.answered(None, offsets(1, 2))  # told already
    assert answers == [("second", None), ("first", None)]


def test_an_error_of_the_commit_or_of_one_partition_fails_it() -> None:
    commits, client = Commits(), Client()
    answers: list[TelemetryError | None] = []
    commits.send(client, offsets(1), "commit of group g", answers.append)
    commits.answered(KafkaError(KafkaError._WAIT_COORD), offsets(1))
    assert type(answers[0]) is BrokerUnavailableError
    commits.send(client, offsets(1, 2), "commit of group g", answers.append)
    refused = SimpleNamespace(topic="events", partition=1, offset=2, error=KafkaError(KafkaError.UNKNOWN_MEMBER_ID))
    commits.answered(None, [*offsets(1), refused])
    assert type(answers[1]) is CommitRejectedError


def test_what_is_refused_at_once_is_answered_at_once() -> None:
    answers: list[TelemetryError | None] = []
    Commits().send(Client(KafkaError(KafkaError._TRANSPORT)), offsets(1), "commit of group g", answers.append)
    assert [type(error) for error in answers] == [BrokerUnavailableError]


def test_nothing_to_commit_is_not_sent() -> None:
    client = Client()
    answers: list[TelemetryError | None] = []
    Commits().send(client, [], "commit of group g", answers.append)
    assert (client.taken, answers) == ([], [None])
