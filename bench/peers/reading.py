"""Merely reads a topic with one of the clients, and does nothing with what it gets: ``CLIENT SERVERS TOPIC COUNT``."""

from __future__ import annotations

import sys

from bench.peers.measured import Measured

__all__: list[str] = []

_AT_ONCE = 2_000


def librdkafka(servers: str, topic: str, count: int, measured: Measured) -> int:
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": servers, "group.id": "reading", "enable.auto.commit": False})
    partitions = consumer.list_topics(topic).topics[topic].partitions
    measured.connecting()
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    seen = 0
    while seen < count:
        message = consumer.poll(1.0)
        if message is None:
            continue
        measured.begin()
        # All that a record is, as whoever wants to do something with it has to ask for it.
        place = message.topic(), message.partition(), message.offset(), message.timestamp()
        _ = place, message.key(), message.value(), message.headers()
        seen += 1
    return seen


def kafka_python(servers: str, topic: str, count: int, measured: Measured) -> int:
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=servers.split(","), enable_auto_commit=False)
    measured.connecting()
    consumer.assign([TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)])
    consumer.seek_to_beginning()
    size = seen = 0
    while seen < count:
        polled = consumer.poll(timeout_ms=1000, max_records=_AT_ONCE)
        if polled:
            measured.begin()
        for records in polled.values():
            for record in records:
                size += len(record.value)
            seen += len(records)
    return seen


def main() -> None:
    client, servers, topic, count = sys.argv[1:]
    measured = Measured()
    read = {"librdkafka": librdkafka, "kafka-python": kafka_python}[client]
    measured.end({"any": read(servers, topic, int(count), measured)})


if __name__ == "__main__":
    main()
