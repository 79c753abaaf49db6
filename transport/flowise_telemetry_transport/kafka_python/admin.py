"""Inspect and create topics through kafka-python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flowise_telemetry_transport.errors import BrokerUnavailableError, TransportError, UnknownTopicError, not_permitted
from flowise_telemetry_transport.kafka_python.config import client_config
from flowise_telemetry_transport.kafka_python.deadline import Deadline, OutOfTimeError
from flowise_telemetry_transport.kafka_python.errors import translate_error
from flowise_telemetry_transport.kafka_python.patches.blocking import bounded_client
from flowise_telemetry_transport.kafka_python.release import import_kafka, is_kafka_python_3
from flowise_telemetry_transport.leaders import wait_for_leaders
from flowise_telemetry_transport.logging import quiet_threads_of
from flowise_telemetry_transport.settings import KafkaSettings
from flowise_telemetry_transport.types import TopicSpec

__all__ = ["KafkaPythonAdmin"]

_TOPIC_AUTHORIZATION_FAILED = 29
_UNKNOWN_TOPIC = 3  # UNKNOWN_TOPIC_OR_PARTITION


class KafkaPythonAdmin:
    """A ``TopicAdmin``."""

    def __init__(self, settings: KafkaSettings, *, client_id: str) -> None:
        self._servers = settings.servers_text
        self._request_seconds = settings.request_timeout_seconds
        self._deadline = Deadline()
        client_class = import_kafka().KafkaAdminClient
        quiet_threads_of(client_id)
        config = client_config(settings, client_class.DEFAULT_CONFIG)
        with self._request(f"no connection to {self._servers}", settings.connect_timeout_seconds):
            try:
                self._client: Any = client_class(
                    **config, client_id=client_id, kafka_client=bounded_client(self._deadline)
                )
            except BaseException:
                self._deadline.on_failure()
                raise

    @contextmanager
    def _request(self, doing: str, seconds: float, topic: str | None = None) -> Iterator[None]:
        try:
            with self._deadline.within(seconds):
                yield
        except OutOfTimeError as error:
            raise BrokerUnavailableError(f"{doing}: no answer from {self._servers} within {seconds:g} s") from error
        except Exception as error:
            mapped = translate_error(error, doing, topic=topic)
            if mapped is error:
                raise
            raise mapped from error

    def topics(self) -> dict[str, int]:
        """See ``TopicAdmin``."""
        with self._request("list of topics", self._request_seconds):
            described = self._client.describe_topics()
        return {
            _name(entry): len(entry["partitions"])
            for entry in described
            if not entry["is_internal"] and not _name(entry).startswith("__")
        }

    def create_topic(self, spec: TopicSpec) -> None:
        """See ``TopicAdmin``."""
        from kafka.admin import NewTopic

        new = NewTopic(
            spec.name,
            num_partitions=spec.partitions,
            replication_factor=spec.replication_factor,
            topic_configs=dict(spec.configs),
        )
        with self._request(f"creation of topic {spec.name}", self._request_seconds, spec.name):
            self._client.create_topics([new], timeout_ms=int(self._request_seconds * 1000))
        wait_for_leaders(self._has_leaders, spec, timeout_seconds=self._request_seconds)

    def _has_leaders(self, spec: TopicSpec) -> bool:
        with self._request(f"creation of topic {spec.name}", self._request_seconds, spec.name):
            described = self._client.describe_topics([spec.name])
        for entry in described:
            if entry["error_code"] == _TOPIC_AUTHORIZATION_FAILED:  # it is there, and may not be looked at
                raise not_permitted("topic", f"creation of topic {spec.name}", topic=spec.name)
            if _name(entry) == spec.name and not entry["error_code"]:
                leaders = [partition.get("leader", partition.get("leader_id")) for partition in entry["partitions"]]
                return len(leaders) == spec.partitions and min(leaders) >= 0
        return False

    def settings_of(self, topic: str) -> dict[str, str]:
        """See ``TopicAdmin``."""
        from kafka.admin import ConfigResource, ConfigResourceType

        doing = f"settings of topic {topic}"
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        if is_kafka_python_3(self._client):
            with self._request(doing, self._request_seconds, topic):
                described = self._client.describe_configs([resource], config_filter="all")["topic"][topic]
            if not described:
                raise UnknownTopicError(f"topic {topic} does not exist", topic=topic)
            return {name: entry["value"] for name, entry in described.items() if entry["value"] is not None}
        with self._request(doing, self._request_seconds, topic):
            answers = self._client.describe_configs([resource])
        code, message, _, _, entries = answers[0].resources[0][:5]
        if code == _UNKNOWN_TOPIC:
            raise UnknownTopicError(f"topic {topic} does not exist", topic=topic)
        if code:
            raise TransportError(f"{doing}: {message or code}", topic=topic)
        return {entry[0]: entry[1] for entry in entries if entry[1] is not None}

    def cluster_id(self) -> str | None:
        """See ``TopicAdmin``."""
        with self._request("id of the cluster", self._request_seconds):
            cluster_id = self._client.describe_cluster().get("cluster_id")
        return None if cluster_id is None else str(cluster_id)

    def close(self) -> None:
        """See ``TopicAdmin``."""
        self._client.close()


def _name(described: Any) -> str:
    """Return the topic's name: kafka-python 3 names the fields of a response as the protocol does."""
    return str(described.get("topic", described.get("name")))
