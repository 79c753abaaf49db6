"""The texts of commits, written by one client and read by the other."""

from __future__ import annotations

import pytest

from flowise_telemetry_transport import ClientName, OutgoingRecord
from flowise_telemetry_transport.types import Commit
from tests.services.kafka import KafkaService
from tests.transport.backends import ClusterBackend, read, write


@pytest.mark.real_broker
@pytest.mark.parametrize("clients", [("kafka-python", "librdkafka"), ("librdkafka", "kafka-python")], ids=" to ".join)
def test_a_group_whose_client_changes_finds_the_texts_of_its_commits(
    kafka: KafkaService, clients: tuple[ClientName, ClientName]
) -> None:
    """At every length: librdkafka commits a NUL after the text, and reads on in its memory where there is none."""
    before, after = (ClusterBackend(client, kafka) for client in clients)
    topic, group = before.new_topic(), before.new_group()
    first, second = before.reader(group), after.reader(group)
    first.subscribe([topic])
    write(before, [OutgoingRecord(topic, b"k", b"v", partition=number) for number in range(4)])
    read(first, count=4)
    everything = first.partitions_of(topic)
    for lengths in ((24, 40, 56, 64), (72, 73, 80, 88), (96, 104, 111, 128)):
        texts = dict(zip(everything, ("x" * length for length in lengths), strict=True))
        first.set_commit_metadata(texts)
        first.commit(dict.fromkeys(everything, 1), timeout_seconds=10)
        assert second.commits(everything) == {tp: Commit(1, text) for tp, text in texts.items()}
    before.close()
    after.close()
