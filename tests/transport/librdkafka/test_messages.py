"""Messages that librdkafka may return in one call, in orders that no broker can be made to give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from flowise_telemetry_transport import (
    BrokerUnavailableError,
    KafkaSettings,
    Record,
    TopicPartition,
    UnknownTopicError,
    UnreadableRecordError,
)
from flowise_telemetry_transport.librdkafka import reader as reader_module
from flowise_telemetry_transport.librdkafka.reader import LibrdkafkaReader

ZERO, ONE = TopicPartition("t", 0), TopicPartition("t", 1)


@dataclass
class Message:
    """Like confluent-kafka's: with partition, offset, and the code of an error or a header that is no text."""

    at: int
    place: int
    code: str | None = None
    broken: bool = False
    text: str | None = None

    def topic(self) -> str:
        return "t"

    def partition(self) -> int:
        return self.at

    def offset(self) -> int:
        return self.place

    def error(self) -> Any:
        from confluent_kafka import KafkaError

        return None if self.code is None else KafkaError(getattr(KafkaError, self.code), self.text)

    def timestamp(self) -> tuple[int, int]:
        return 1, 0

    def key(self) -> bytes:
        return b"k"

    value = key

    def headers(self) -> None:
        if self.broken:
            b"\xff".decode()


@dataclass
class Client:
    """A consumer that returns the messages it was given, and records the offsets it was to read from."""

    queue: list[Message | Callable[[], None]] = field(default_factory=list)
    sought: dict[int, int] = field(default_factory=dict)
    marks: tuple[int, int] = (0, 100)
    is_away: bool = False
    on_assign: Any = None

    def poll(self, timeout: float) -> Message | None:
        messages = self.consume(1, timeout)
        return messages[0] if messages else None

    def consume(self, count: int, timeout: float) -> list[Message]:
        messages: list[Message] = []
        while self.queue and len(messages) < count:
            item = self.queue.pop(0)
            if isinstance(item, Message):
                messages.append(item)
            else:
                item()
        return messages

    def assign(self, partitions: Sequence[Any]) -> None:
        self.sought = {partition.partition: partition.offset for partition in partitions}

    def subscribe(self, topics: Sequence[str], *, on_assign: Any, **callbacks: Any) -> None:
        self.on_assign = on_assign

    def seek(self, partition: TopicPartition, offset: int) -> bool:
        self.sought[partition.partition] = offset
        return True

    def known_end(self, partition: TopicPartition) -> int:
        return self.marks[1]

    def beginnings(self, partitions: Sequence[TopicPartition], *, seconds: float) -> dict[TopicPartition, int]:
        if self.is_away:
            raise BrokerUnavailableError("no answer")
        return dict.fromkeys(partitions, self.marks[0])

    def ends(
        self, partitions: Sequence[TopicPartition], *, committed: bool, seconds: float
    ) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, self.marks[1])

    def committed(
        self, partitions: Sequence[TopicPartition], group: str, *, seconds: float
    ) -> dict[TopicPartition, None]:
        return dict.fromkeys(partitions)

    def __getattr__(self, name: str) -> Any:
        return lambda *given: None


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    client = Client()
    monkeypatch.setattr(reader_module, "make_client", lambda *given: client)
    monkeypatch.setattr(reader_module, "check_connection", lambda *given: None)
    monkeypatch.setattr(reader_module, "Lookup", lambda *given: client)
    monkeypatch.setattr(reader_module, "ClusterOffsets", lambda *given: client)
    return client


def reading(client: Client, *messages: Message) -> LibrdkafkaReader:
    reader = LibrdkafkaReader(KafkaSettings(bootstrap_servers=("localhost:9092",)), group=None, client_id="test")
    reader.assign({ZERO: 5, ONE: 3})
    client.queue += messages
    return reader


def poll(reader: LibrdkafkaReader) -> list[tuple[int, int]]:
    records: list[Record] = reader.poll(timeout_seconds=0, max_records=10)
    return [(record.partition, record.offset) for record in records]


def test_the_end_past_a_gap_stays_the_position(client: Client) -> None:
    reader = reading(client, Message(0, 5), Message(0, 8, "_PARTITION_EOF"))
    assert poll(reader) == [(0, 5)]
    assert reader.position(ZERO) == 8


def test_the_end_does_not_step_over_a_broken_record(client: Client) -> None:
    reader = reading(
        client, Message(0, 5), Message(0, 6, broken=True), Message(0, 7), Message(0, 8, "_PARTITION_EOF"), Message(1, 3)
    )
    assert poll(reader) == [(0, 5), (1, 3)]
    assert reader.position(ZERO) == client.sought[0] == 6
    with pytest.raises(UnreadableRecordError):
        poll(reader)


def test_of_a_broken_batch_each_offset_is_stepped_over(client: Client) -> None:
    reader = reading(client)
    for offset in (5, 6, 7):
        client.queue.append(Message(0, 4, "_BAD_MSG"))  # always the first of the batch
        with pytest.raises(UnreadableRecordError) as caught:
            poll(reader)
        assert caught.value.offset == offset
        reader.seek(ZERO, offset + 1)


def test_what_came_with_an_error_that_ends_the_call_comes_again(client: Client) -> None:
    reader = reading(
        client, Message(0, 5), Message(0, 6, broken=True), Message(0, 7, "_UNKNOWN_TOPIC"), Message(1, 3), Message(1, 4)
    )
    client.queue.insert(2, Message(1, -1, "_UNKNOWN_TOPIC"))
    with pytest.raises(UnknownTopicError):
        poll(reader)
    assert client.sought == {0: 5, 1: 3}
    assert (reader.position(ZERO), reader.position(ONE)) == (5, 3)


def test_what_a_rebalance_comes_between_is_read_again(client: Client) -> None:
    from confluent_kafka import OFFSET_STORED
    from confluent_kafka import TopicPartition as Place

    reader = LibrdkafkaReader(KafkaSettings(bootstrap_servers=("localhost:9092",)), group="g", client_id="test")
    reader.subscribe(["t"])
    client.queue += [
        lambda: client.on_assign(client, [Place("t", 0)]),
        Message(0, 5),
        Message(0, 6),
        lambda: client.on_assign(client, [Place("t", 0), Place("t", 1)]),
        Message(1, 3),
    ]
    assert poll(reader) == []
    assert client.sought == {0: OFFSET_STORED, 1: OFFSET_STORED}
    client.queue += [Message(0, 5), Message(0, 6), Message(1, 3)]
    assert poll(reader) == [(0, 5), (0, 6), (1, 3)]


@pytest.mark.parametrize(
    ("marks", "wanted"),
    [((0, 100), 6), ((6, 6), 6), ((40, 100), 40), ((0, 3), 0)],
    ids=["a garbage offset", "at the end", "retention", "a log that was cut"],
)
def test_an_offset_that_the_broker_does_not_have_never_takes_the_position_back(
    client: Client, marks: tuple[int, int], wanted: int
) -> None:
    client.marks = marks
    reader = reading(client, Message(0, 5), Message(0, -1001, "_AUTO_OFFSET_RESET"), Message(1, 3))
    assert poll(reader) == [(0, 5), (1, 3)]
    client.is_away = True
    assert poll(reader) == []
    client.is_away = False
    assert poll(reader) == []
    assert reader.position(ZERO) == client.sought[0] == wanted
    assert reader.position(ONE) == 4


def test_a_group_without_an_offset_starts_at_the_beginning(client: Client) -> None:
    from confluent_kafka import TopicPartition as Place

    client.marks = (4, 100)
    reader = LibrdkafkaReader(KafkaSettings(bootstrap_servers=("localhost:9092",)), group="g", client_id="test")
    reader.subscribe(["t"])
    client.queue += [
        lambda: client.on_assign(client, [Place("t", 0), Place("t", 1)]),
        Message(0, -1001, "_AUTO_OFFSET_RESET"),
    ]
    poll(reader)
    poll(reader)
    # The other partition too, which would come back by itself.
    assert client.sought == {0: 4, 1: 4}
    assert reader.expired() == []


@pytest.mark.parametrize(
    "message",
    [
        Message(0, 92_369_362_235_700, "_NOT_IMPLEMENTED", text="Unsupported Message(Set) MagicByte 6 at offset 9"),
        Message(0, 92_369_362_235_700, "_BAD_MSG"),
    ],
    ids=["magic", "checksum"],
)
def test_an_offset_out_of_damaged_bytes_is_none(client: Client, message: Message) -> None:
    reader = reading(client, message)
    with pytest.raises(UnreadableRecordError) as caught:
        poll(reader)
    assert caught.value.offset == 5
