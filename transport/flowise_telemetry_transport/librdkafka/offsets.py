"""Offsets of many partitions in one request, through librdkafka's admin client."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from importlib import import_module
from types import ModuleType
from typing import Any

from flowise_telemetry_transport.errors import BrokerUnavailableError
from flowise_telemetry_transport.librdkafka.client import confluent_kafka, free, make_client
from flowise_telemetry_transport.librdkafka.errors import UNAVAILABLE, translate_exception
from flowise_telemetry_transport.settings import KafkaSettings
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["ClusterOffsets"]

_RETRY_SECONDS = 0.05
_NO_LEADERS = "_NOENT"
_TOPIC_ID_SECONDS = 5.0
_GRACE_SECONDS = 1.0  # for the client to say that a request has timed out
_NO_TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAA"  # a UUID of zeros, as Kafka writes it


class ClusterOffsets:
    """Beginnings and ends of partitions, and ids of topics. ``seconds`` bound a call, or the request timeout.

    Not through the consumer: it asks for one partition at a time, each behind the fetch that is under way on the same
    connection (0.5 s). The admin client has connections of its own, made by the first call. ``require_topic`` raises
    ``UnknownTopicError``: this client says of a topic that does not exist only that it has no leaders.
    """

    def __init__(self, settings: KafkaSettings, require_topic: Callable[[str, float], object]) -> None:
        self._kafka = confluent_kafka()
        self._settings = settings
        self._request_seconds = settings.request_timeout_seconds
        self._require_topic = require_topic
        self._client: Any = None

    def beginnings(
        self, partitions: Collection[TopicPartition], *, seconds: float | None = None
    ) -> dict[TopicPartition, int]:
        """Return the first offset that exists."""
        first = _admin_module().OffsetSpec.earliest()
        return self._offsets("beginning offsets", partitions, first, committed=False, seconds=seconds)

    def ends(
        self, partitions: Collection[TopicPartition], *, committed: bool, seconds: float | None = None
    ) -> dict[TopicPartition, int]:
        """Return the offset after the last record; if ``committed``, before the first open transaction."""
        latest = _admin_module().OffsetSpec.latest()
        return self._offsets("end offsets", partitions, latest, committed=committed, seconds=seconds)

    def _offsets(
        self, doing: str, partitions: Collection[TopicPartition], spec: Any, *, committed: bool, seconds: float | None
    ) -> dict[TopicPartition, int]:
        found: dict[TopicPartition, int] = {}
        end = time.monotonic() + (self._request_seconds if seconds is None else seconds)
        while len(found) < len(partitions):
            left = [tp for tp in partitions if tp not in found]
            answered, error = self._ask(left, spec, committed=committed, seconds=max(0.1, end - time.monotonic()))
            found |= answered
            if error is None:
                self._check_answered(doing, set(left) - found.keys(), end)
                continue
            topic, name = left[0].topic, error.args[0].name()
            if name == _NO_LEADERS:
                self._require_topic(topic, max(0.1, end - time.monotonic()))
            # While a partition's leader moves, or is not known yet; unlike the consumer, this client does not wait.
            if name not in UNAVAILABLE | {_NO_LEADERS} or time.monotonic() >= end:
                raise translate_exception(error, doing, topic=topic) from error
            time.sleep(_RETRY_SECONDS)
        return {tp: found[tp] for tp in partitions}

    def _check_answered(self, doing: str, silent: Collection[TopicPartition], end: float) -> None:
        """Raise ``BrokerUnavailableError`` once it is time and the leader of a partition has not answered."""
        if silent and time.monotonic() >= end:
            topic, partition = min(silent)
            raise BrokerUnavailableError(f"{doing}: no answer from the leader of {topic}[{partition}]", topic=topic)

    def _ask(
        self, partitions: Collection[TopicPartition], spec: Any, *, committed: bool, seconds: float
    ) -> tuple[Mapping[TopicPartition, int], Any]:
        """Return the offsets that are known and the last error. Raises ``BrokerUnavailableError`` without an answer.

        A partition may be in neither: what its leader has not answered in time is no error to librdkafka 2.16, but an
        offset of -1001. Taken at its word, that partition would be empty.
        """
        level = self._kafka.IsolationLevel
        asked = self._admin().list_offsets(
            {self._kafka.TopicPartition(tp.topic, tp.partition): spec for tp in partitions},
            isolation_level=level.READ_COMMITTED if committed else level.READ_UNCOMMITTED,
            request_timeout=seconds,
        )
        found: dict[TopicPartition, int] = {}
        last = None
        for tp, answer in asked.items():
            try:
                offset = int(answer.result(timeout=seconds + _GRACE_SECONDS).offset)
                if offset >= 0:
                    found[TopicPartition(tp.topic, tp.partition)] = offset
            except self._kafka.KafkaException as error:
                last = error
            except FutureTimeoutError as error:
                raise BrokerUnavailableError(f"offsets: no answer from {self._settings.servers_text}") from error
        return found, last

    def topic_id(self, topic: str, *, seconds: float | None = None) -> str | None:
        """Return the topic's id; None if the cluster has none or does not answer: the id is only a second check."""
        seconds = min(self._request_seconds if seconds is None else seconds, _TOPIC_ID_SECONDS)
        described = self._admin().describe_topics(self._kafka.TopicCollection([topic]), request_timeout=seconds)[topic]
        try:
            found = str(described.result(timeout=seconds + _GRACE_SECONDS).topic_id)
        except (self._kafka.KafkaException, FutureTimeoutError):
            return None
        return None if found == _NO_TOPIC_ID else found

    def _admin(self) -> Any:
        if self._client is None:
            self._client = make_client(_admin_module().AdminClient, self._settings, {})
        return self._client

    def close(self, *, timeout_seconds: float) -> None:
        """Free the client."""
        client, self._client = [self._client], None
        free(client, timeout_seconds)


def _admin_module() -> ModuleType:
    return import_module("confluent_kafka.admin")
