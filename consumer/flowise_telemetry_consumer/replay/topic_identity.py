"""Whether two addresses with a topic of one name mean the same topic."""

from __future__ import annotations

from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport.ports import RecordReader, TopicAdmin

__all__ = ["require_another_topic"]


def require_another_topic(
    topic: str, source: tuple[RecordReader, TopicAdmin], target: tuple[RecordReader, TopicAdmin]
) -> None:
    """Raises ``ConfigurationError`` where a copy of ``topic`` from one to the other would go onto itself, or may.

    The ids of the topics say it exactly. Where a client does not tell them, those of the clusters do: two of one id
    count as one cluster, and without ids nothing is taken for granted. Raises ``BrokerUnavailableError``.
    """
    ids = source[0].topic_id(topic), target[0].topic_id(topic)
    if None not in ids:
        if ids[0] == ids[1]:
            raise ConfigurationError(
                f"--sink kafka://{topic}: --sink-bootstrap-servers are of the cluster that is read, and {topic} is the"
                " topic itself: name another topic, or the servers of another cluster",
                topic=topic,
            )
        return
    clusters = source[1].cluster_id(), target[1].cluster_id()
    if None in clusters:
        raise ConfigurationError(
            f"--sink kafka://{topic}: it cannot be told whether --sink-bootstrap-servers are of another cluster than"
            f" the one that is read, as there is no cluster id: give the copy another name than {topic}",
            topic=topic,
        )
    if clusters[0] == clusters[1]:
        raise ConfigurationError(
            f"--sink kafka://{topic}: --sink-bootstrap-servers are of the cluster that is read (id {clusters[0]})"
            f", and {topic} is the topic itself: name another topic, or the servers of another cluster"
            " (of two clusters with one id, --client librdkafka tells topics apart)",
            topic=topic,
        )
