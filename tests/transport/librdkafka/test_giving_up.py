"""A client of librdkafka that has given up for ever is told of by its cause, and another takes its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from flowise_telemetry_transport import AuthorizationError, DeliveryError, KafkaSettings, OutgoingRecord, open_writer
from flowise_telemetry_transport.errors import TransportError
from flowise_telemetry_transport.librdkafka import writer as writer_module

SETTINGS = KafkaSettings(bootstrap_servers=("localhost:9092",), client="librdkafka")
RECORD = OutgoingRecord("events", b"k", b"v")
REFUSED = KafkaError.CLUSTER_AUTHORIZATION_FAILED


@dataclass(frozen=True)
class Message:
    """What a callback is told of its record."""

    its_topic: str
    its_key: bytes | None

    def topic(self) -> str:
        return self.its_topic

    def key(self) -> bytes | None:
        return self.its_key


class Client:
    """A producer that was refused its id: it says so once, by an exception in place of a callback."""

    def __init__(self, code: int = REFUSED) -> None:
        self.code = code
        self.taken: list[bytes] = []
        self.told = False

    def __len__(self) -> int:
        return 0 if self.told else 1

    def produce(self, _topic: str, value: bytes, *given: Any) -> None:
        raise KafkaException(KafkaError(KafkaError._FATAL, "Local: Fatal error"))

    def poll(self, _seconds: float) -> int:
        if self.told:
            return 0
        self.told = True
        raise KafkaException(KafkaError(self.code, "Failed to acquire idempotence PID", fatal=True))

    def purge(self) -> None: ...


class Holding(Client):
    """It has taken records by then."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.held: list[Callable[[KafkaError], None]] = []

    def __len__(self) -> int:
        return len(self.held)

    def produce(self, _topic: str, value: bytes, *given: Any) -> None:
        key, _partition, report = given
        self.held.append(lambda error: report(error, Message(_topic, key)))

    def purge(self) -> None:
        for report in self.held:
            report(KafkaError(KafkaError._PURGE_QUEUE))
        self.held.clear()


class Working(Client):
    def __init__(self) -> None:
        super().__init__()
        self.told = True

    def produce(self, _topic: str, value: bytes, *given: Any) -> None:
        self.taken.append(value)


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    made: list[Client] = []

    def make(*given: Any) -> Client:
        made.append(Working() if made else Client())
        return made[-1]

    monkeypatch.setattr(writer_module, "make_client", make)
    return made


@pytest.mark.parametrize("how", ["poll", "flush"])
def test_another_takes_its_place(clients: list[Client], how: str) -> None:
    writer = open_writer(SETTINGS)
    if how == "poll":
        writer.poll()
    else:
        assert writer.flush(timeout_seconds=5) == 0
    writer.send(RECORD, lambda *given: None)
    assert clients[-1].taken == [b"v"]
    assert len(clients) == 2
    writer.close(timeout_seconds=1)


def test_what_is_sent_before_that_is_refused_with_the_cause(clients: list[Client]) -> None:
    writer = open_writer(SETTINGS)
    for _ in range(2):
        with pytest.raises(AuthorizationError, match="lacks a right: grant Write on topic events to its user"):
            writer.send(RECORD, lambda *given: None)
    writer.poll()
    writer.send(RECORD, lambda *given: None)
    assert clients[-1].taken == [b"v"]
    writer.close(timeout_seconds=1)


@pytest.mark.parametrize("key", [b"k", None])
@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (REFUSED, AuthorizationError, "delivery to events: the login works, but lacks a right: grant Write on topic"),
        (KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, DeliveryError, "delivery to events: OUT_OF_ORDER_SEQUENCE_NUMBER"),
    ],
)
def test_records_that_it_has_taken_fail_with_the_cause(
    monkeypatch: pytest.MonkeyPatch, code: int, kind: type[TransportError], text: str, key: bytes | None
) -> None:
    first = Holding(code)
    clients: Iterator[Client] = iter([first, Working()])
    monkeypatch.setattr(writer_module, "make_client", lambda *given: next(clients))
    writer = open_writer(SETTINGS)
    failed: list[TransportError | None] = []
    writer.send(OutgoingRecord("events", key, b"v"), lambda _, error: failed.append(error))
    assert writer.flush(timeout_seconds=5) == 0
    (error,) = failed
    assert type(error) is kind
    assert str(error).startswith(text)
    assert isinstance(error, AuthorizationError) or error.retryable
    writer.close(timeout_seconds=1)
