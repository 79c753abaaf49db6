"""Questions to the cluster through a librdkafka consumer."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from flowise_telemetry_transport.errors import (
    BrokerUnavailableError,
    TransportError,
    UnknownTopicError,
)
from flowise_telemetry_transport.librdkafka.client import confluent_kafka, make_client
from flowise_telemetry_transport.librdkafka.errors import failure, failure_of
from flowise_telemetry_transport.settings import KafkaSettings
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["Lookup"]

_RETRY_SECONDS = 0.02
_TOPIC_ID_SECONDS = 5.0
_NO_TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAA"  # a UUID of zeros, as Kafka writes it
_COORDINATOR_MOVES = frozenset({"NOT_COORDINATOR", "COORDINATOR_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS"})


class Lookup:
    """What can be asked and told without being assigned anything; each call is bounded by the request timeout."""

    def __init__(self, consumer: Any, settings: KafkaSettings) -> None:
        self._kafka = confluent_kafka()
        self._consumer = consumer
        self._settings = settings
        self._servers = settings.servers_text
        self._request_seconds = settings.request_timeout_seconds

    def partitions_of(self, topic: str) -> tuple[TopicPartition, ...]:
        """All partitions of a topic, ascending."""
        doing = f"partitions of {topic}"
        try:
            described = self._consumer.list_topics(topic, timeout=self._request_seconds).topics[topic]
        except self._kafka.KafkaException as error:
            raise failure(error, doing, topic=topic) from error
        told = None if described.error is None else failure_of(described.error, doing, topic=topic)
        if told is not None and not isinstance(told, UnknownTopicError):
            raise told
        if told is not None or not described.partitions:
            raise UnknownTopicError(f"topic {topic} does not exist", topic=topic)
        return tuple(TopicPartition(topic, number) for number in sorted(described.partitions))

    def watermarks(self, tp: TopicPartition) -> tuple[int, int]:
        """The first offset that is there, and the one after the last."""
        doing = f"offsets of {tp.topic}[{tp.partition}]"
        theirs = self._kafka.TopicPartition(tp.topic, tp.partition)
        try:
            marks = self._consumer.get_watermark_offsets(theirs, timeout=self._request_seconds)
        except self._kafka.KafkaException as error:
            raise failure(error, doing, topic=tp.topic) from error
        if marks is None:
            raise BrokerUnavailableError(f"{doing}: no answer from {self._servers}", topic=tp.topic)
        return int(marks[0]), int(marks[1])

    def offsets_for_times(self, times_ms: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
        """The first offsets of that time or later; None where there is none."""
        theirs = [self._kafka.TopicPartition(tp.topic, tp.partition, time_ms) for tp, time_ms in times_ms.items()]
        try:
            found = self._consumer.offsets_for_times(theirs, timeout=self._request_seconds)
        except self._kafka.KafkaException as error:
            raise failure(error, "offsets for times") from error
        offsets: dict[TopicPartition, int | None] = {}
        for tp in found:
            if tp.error is not None:
                raise failure_of(tp.error, "offsets for times", topic=tp.topic)
            offsets[TopicPartition(tp.topic, tp.partition)] = tp.offset if tp.offset >= 0 else None
        return offsets

    def topic_id(self, topic: str) -> str | None:
        """The topic's id; None where the cluster gives none or does not answer: it is no more than a second look."""
        from confluent_kafka.admin import AdminClient

        client = make_client(AdminClient, self._settings, {})
        seconds = min(self._request_seconds, _TOPIC_ID_SECONDS)
        described = client.describe_topics(self._kafka.TopicCollection([topic]), request_timeout=seconds)[topic]
        try:
            found = str(described.result(timeout=2 * seconds).topic_id)
        except (self._kafka.KafkaException, TimeoutError):
            return None
        return None if found == _NO_TOPIC_ID else found

    def committed(self, partitions: Collection[TopicPartition], group: str) -> dict[TopicPartition, int | None]:
        """The group's committed next offsets; None where there is none."""
        doing = f"committed offsets of group {group}"
        theirs = [self._kafka.TopicPartition(tp.topic, tp.partition) for tp in partitions]
        end = time.monotonic() + self._request_seconds
        while True:
            try:
                found = self._consumer.committed(theirs, timeout=max(0.1, end - time.monotonic()))
                break
            except self._kafka.KafkaException as error:
                # On a new cluster the first group waits for its coordinator, and librdkafka does not.
                if error.args[0].name() not in _COORDINATOR_MOVES or time.monotonic() > end:
                    raise failure(error, doing) from error
                time.sleep(_RETRY_SECONDS)
        offsets: dict[TopicPartition, int | None] = {}
        for tp in found:
            if tp.error is not None:
                raise failure_of(tp.error, doing, topic=tp.topic)
            offsets[TopicPartition(tp.topic, tp.partition)] = tp.offset if tp.offset >= 0 else None
        return offsets

    def commit(self, theirs: Sequence[Any], doing: str) -> Exception | None:
        """Commits and waits; returns what went wrong, as it may run in a thread that cannot raise."""
        if not theirs:  # librdkafka would take it for "what is stored"
            return None
        try:
            results = self._consumer.commit(offsets=theirs, asynchronous=False)
        except self._kafka.KafkaException as error:
            return failure(error, doing)
        except Exception as error:
            return TransportError(f"{doing}: {error}")
        for result in results or ():
            if result.error is not None:
                return failure_of(result.error, doing, topic=result.topic)
        return None

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Moves an assigned partition."""
        end = time.monotonic() + self._request_seconds
        while True:
            try:
                self._consumer.seek(self._kafka.TopicPartition(tp.topic, tp.partition, offset))
            except self._kafka.KafkaException as error:
                # Just assigned: librdkafka does not seek before it has started to fetch.
                if error.args[0].name() not in {"_STATE", "_PREV_IN_PROGRESS"} or time.monotonic() > end:
                    raise failure(error, "seek", topic=tp.topic) from error
                time.sleep(_RETRY_SECONDS)
            else:
                return
