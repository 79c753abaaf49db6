"""Inspect and create topics through confluent-kafka."""

from __future__ import annotations

from typing import Any

from flowise_telemetry_transport.errors import AuthorizationError
from flowise_telemetry_transport.leaders import wait_for_leaders
from flowise_telemetry_transport.librdkafka.client import check_connection, confluent_kafka, free, make_client
from flowise_telemetry_transport.librdkafka.errors import translate_error, translate_exception
from flowise_telemetry_transport.settings import KafkaSettings
from flowise_telemetry_transport.types import TopicSpec

__all__ = ["LibrdkafkaAdmin"]

_CLOSE_SECONDS = 5.0


class LibrdkafkaAdmin:
    """A ``TopicAdmin``."""

    def __init__(self, settings: KafkaSettings, *, client_id: str) -> None:
        self._kafka = confluent_kafka()
        from confluent_kafka.admin import AdminClient

        self._request_seconds = settings.request_timeout_seconds
        self._client: Any = make_client(AdminClient, settings, {"client.id": client_id})
        check_connection(self._client, settings)

    def topics(self) -> dict[str, int]:
        """See ``TopicAdmin``."""
        try:
            described = self._client.list_topics(timeout=self._request_seconds).topics.values()
        except self._kafka.KafkaException as error:
            raise translate_exception(error, "list of topics") from error
        return {each.topic: len(each.partitions) for each in described if not each.topic.startswith("__")}

    def create_topic(self, spec: TopicSpec) -> None:
        """See ``TopicAdmin``."""
        from confluent_kafka.cimpl import NewTopic

        new = NewTopic(
            spec.name,
            num_partitions=spec.partitions,
            replication_factor=spec.replication_factor,
            config=dict(spec.configs),
        )
        try:
            self._client.create_topics([new], request_timeout=self._request_seconds)[spec.name].result()
        except self._kafka.KafkaException as error:
            raise translate_exception(error, f"creation of topic {spec.name}", topic=spec.name) from error
        wait_for_leaders(self._has_leaders, spec, timeout_seconds=self._request_seconds)

    def _has_leaders(self, spec: TopicSpec) -> bool:
        try:
            described = self._client.list_topics(spec.name, timeout=self._request_seconds).topics.get(spec.name)
        except self._kafka.KafkaException as error:
            raise translate_exception(error, f"creation of topic {spec.name}", topic=spec.name) from error
        if described is not None and described.error is not None:
            refused = translate_error(described.error, f"creation of topic {spec.name}", topic=spec.name)
            if isinstance(refused, AuthorizationError):  # it is there, and may not be looked at
                raise refused
        if described is None or len(described.partitions) != spec.partitions:
            return False
        return all(partition.leader >= 0 for partition in described.partitions.values())

    def settings_of(self, topic: str) -> dict[str, str]:
        """See ``TopicAdmin``."""
        from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined]  # documented, not in __all__

        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        try:
            asked = self._client.describe_configs([resource], request_timeout=self._request_seconds)
            entries = asked[resource].result(timeout=2 * self._request_seconds)
        except self._kafka.KafkaException as error:
            raise translate_exception(error, f"settings of topic {topic}", topic=topic) from error
        return {name: entry.value for name, entry in entries.items() if entry.value is not None}

    def cluster_id(self) -> str | None:
        """See ``TopicAdmin``."""
        try:
            cluster_id = self._client.list_topics(timeout=self._request_seconds).cluster_id
        except self._kafka.KafkaException as error:
            raise translate_exception(error, "id of the cluster") from error
        return cluster_id or None

    def close(self) -> None:
        """See ``TopicAdmin``."""
        client, self._client = [self._client], None
        free(client, _CLOSE_SECONDS)
