"""Names of topics."""

from __future__ import annotations

import pytest

from flowise_telemetry_transport.topics import dead_letter_topic_of


@pytest.mark.parametrize("length", [1, 245, 246, 249])
def test_a_dead_letter_topic_has_a_name_that_kafka_takes(length: int) -> None:
    topic = "a" * length
    name = dead_letter_topic_of(topic)
    assert len(name) <= 249
    assert name.endswith(".dlq")
    assert (name == f"{topic}.dlq") is (length <= 245)
    assert name != dead_letter_topic_of("a" * (length - 1) + "b")
