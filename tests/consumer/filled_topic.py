"""Many events on a topic, quickly: the messages differ in their ids only."""

from __future__ import annotations

from flowise_telemetry_schemas import catalog
from flowise_telemetry_schemas.codec import encode
from tests.consumer.world import event_id
from tests.schemas.records import ENVELOPE, EVENTS, record_of

__all__ = ["fill"]


def fill(servers: str, topic: str, count: int, *, first: int = 0) -> None:
    """Sends the events ``first`` to before ``first + count``, by their key; dated now, so that they stay."""
    from confluent_kafka import Producer

    placeholder = ENVELOPE.event_id.encode()
    messages = [encode(catalog().latest(event.EVENT), record_of(event)).partition(placeholder) for event in EVENTS]
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 20, "queue.buffering.max.messages": 200_000})
    for number in range(first, first + count):
        identity = event_id(number).encode()
        before, _, after = messages[number % len(messages)]
        while True:
            try:
                producer.produce(topic, before + identity + after, key=identity)
                break
            except BufferError:
                producer.poll(0.1)
        if not number % 1_000:
            producer.poll(0)
    assert producer.flush(60) == 0
