"""``topics create``, and the mend where a topic is missing."""

from __future__ import annotations

import uuid

import pytest

from tests.cli.operator import Operator


@pytest.mark.real_broker
def test_topics_are_created_once(operator: Operator) -> None:
    operator.environ["FLOWISE_TELEMETRY_TOPIC"] = f"test-{uuid.uuid4().hex}"
    topic = operator.environ["FLOWISE_TELEMETRY_TOPIC"]
    first = operator.run("topics", "create", "--partitions", "2")
    assert first.stdout == f"{topic}: created, 2 partitions\n{topic}.dlq: created, 2 partitions\n"
    second = operator.run("topics", "create")
    assert (second.status, second.stdout) == (0, f"{topic}: exists\n{topic}.dlq: exists\n")


@pytest.mark.real_broker
def test_a_topic_that_is_not_there_is_named_with_the_mend(operator: Operator) -> None:
    missing = f"test-{uuid.uuid4().hex}"
    done = operator.run("consume", "--topic", missing)
    assert (done.status, done.stdout) == (1, "")
    assert done.errors == [f"error: topic {missing} does not exist: create it with flowise-telemetry topics create"]
