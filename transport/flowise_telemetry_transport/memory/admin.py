"""Inspect and create topics of the in-memory broker."""

from __future__ import annotations

from flowise_telemetry_transport.memory.cluster import Cluster
from flowise_telemetry_transport.types import TopicSpec

__all__ = ["InMemoryAdmin"]


class InMemoryAdmin:
    """A ``TopicAdmin`` on an in-memory broker."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def topics(self) -> dict[str, int]:
        """See ``TopicAdmin``."""
        with self._cluster.changed:
            self._cluster.check_up()
            return self._cluster.partition_counts()

    def create_topic(self, spec: TopicSpec) -> None:
        """See ``TopicAdmin``; of the settings, only ``max.message.bytes`` has an effect."""
        with self._cluster.changed:
            self._cluster.check_up()
            self._cluster.add_topic(spec)

    def settings_of(self, topic: str) -> dict[str, str]:
        """See ``TopicAdmin``; only the settings given when the topic was created, no defaults."""
        with self._cluster.changed:
            self._cluster.check_up()
            return self._cluster.settings_of(topic)

    def cluster_id(self) -> str | None:
        """See ``TopicAdmin``."""
        with self._cluster.changed:
            self._cluster.check_up()
            return self._cluster.id

    def close(self) -> None:
        """See ``TopicAdmin``."""
