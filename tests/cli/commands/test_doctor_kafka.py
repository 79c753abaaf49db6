"""``doctor`` on a broker with topics and a live group, which notice nothing of it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection

import pytest

from flowise_telemetry_transport import TopicPartition, open_admin, open_reader
from flowise_telemetry_transport.clients import CLIENTS
from tests.cli.operator import Operator, wait_until
from tests.services.kafka import KafkaService


def states(operator: Operator, *arguments: str) -> dict[str, tuple[str, str]]:
    document = json.loads(operator.run("doctor", *arguments, "--json").stdout)
    return {each["name"]: (each["state"], each["says"]) for each in document["checks"]}


@pytest.mark.real_broker
@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_a_live_group_notices_nothing(client: str, kafka: KafkaService, operator: Operator) -> None:
    topic, letters, group = kafka.new_topic(partitions=1), kafka.new_topic(partitions=1), kafka.new_group()
    moved: list[Collection[TopicPartition]] = []
    member = open_reader(kafka.settings(), group=group)
    member.subscribe([topic], on_assigned=moved.append, on_revoked=moved.append)
    wait_until(lambda: member.poll(timeout_seconds=0.2, max_records=1) == [] and bool(member.assignment()))
    member.commit({TopicPartition(topic, 0): 0}, timeout_seconds=30)
    options = ("--client", client, "--topic", topic, "--group", group, "--dead-letter-topic", letters)
    found = states(operator, "consume", "--sink", "jsonl:-", *options)
    assert [name for name, (state, _) in found.items() if state == "failed"] == []
    for name in ("topic", "topic: right", "dead letters: right", "group: right", "client: connection"):
        assert found[name][0] == "ok"
    assert "with 1 member" in found["group"][1]
    assert found["group: lag"] == ("ok", f"{group} has 0 records of {topic} to read")
    member.poll(timeout_seconds=0, max_records=1)
    assert moved == [moved[0]]
    assert set(moved[0]) == {TopicPartition(topic, 0)}
    member.close()


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_a_topic_that_is_missing_stays_so(client: str, kafka: KafkaService, operator: Operator) -> None:
    missing = f"test-{uuid.uuid4().hex}"
    operator.environ["FLOWISE_TELEMETRY_TOPIC"] = missing
    found = states(operator, "--client", client)
    assert found["topic"] == ("failed", f"topic {missing} does not exist")
    admin = open_admin(kafka.settings())
    assert missing not in admin.topics()
    admin.close()
