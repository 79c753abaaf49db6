"""kafka-python-ng 2.2.3: why a topic has no metadata. One may not be looked at, does not exist, or nobody answers.

``ClusterMetadata.update_metadata`` gives the error of a single topic to whoever waits, and forgets it: the topic is not
among ``unauthorized_topics``, where the producer looks for it before it asks again, until its time is up. The consumer
asks for all topics, whose list leaves it out. Unnecessary once that method notes the topic, and one that is missing.
"""

from __future__ import annotations

import time
from typing import Any

from flowise_telemetry_transport.kafka_python.patches.answers import METADATA, answer_of, knows

__all__ = ["is_unauthorized", "note_refused", "was_missing"]

_VERSION = 4  # the first that can ask without creating the topic
_NOT_PERMITTED = 29  # TOPIC_AUTHORIZATION_FAILED


def note_refused(cluster: Any) -> None:
    """Let this object of metadata remember a topic that was refused; the next answer that is none forgets it.

    And when it was last told that there is no such topic.
    """
    failed_update = getattr(cluster, "failed_update", None)
    if failed_update is None:  # a release that is made another way
        return

    def noted(error: Any) -> Any:
        if type(error).__name__ == "TopicAuthorizationFailedError" and error.args:
            cluster.unauthorized_topics = {*cluster.unauthorized_topics, str(error.args[0])}
        if type(error).__name__ == "UnknownTopicOrPartitionError" and error.args:
            missing_at[str(error.args[0])] = time.monotonic()
        return failed_update(error)

    missing_at: dict[str, float] = {}
    cluster.missing_at = missing_at
    cluster.failed_update = noted


def was_missing(cluster: Any, topic: str, *, since: float) -> bool:
    """Return True if a broker told since then, by the monotonic clock, that there is no such topic."""
    return bool(getattr(cluster, "missing_at", {}).get(topic, float("-inf")) >= since)


def is_unauthorized(consumer: Any, topic: str) -> bool:
    """Ask for one topic by name; return True if the answer is that it may not be looked at.

    Not by the client's own look-up, after which a cluster that creates topics on first use would have it.
    """
    client = consumer._client
    if not knows(client, METADATA, _VERSION):
        return False
    from kafka.protocol.metadata import MetadataRequest

    create = False
    answer = answer_of(client, MetadataRequest[_VERSION]([topic], create))
    return any(entry[:2] == (_NOT_PERMITTED, topic) for entry in answer.topics)
