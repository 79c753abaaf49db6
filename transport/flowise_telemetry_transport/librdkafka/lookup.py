"""Requests to the cluster through librdkafka's consumer."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

from flowise_telemetry_transport.commit_text import text_of
from flowise_telemetry_transport.errors import BrokerUnavailableError, UnknownTopicError
from flowise_telemetry_transport.librdkafka.client import confluent_kafka
from flowise_telemetry_transport.librdkafka.errors import translate_error, translate_exception
from flowise_telemetry_transport.settings import KafkaSettings
from flowise_telemetry_transport.types import Commit, TopicPartition

__all__ = ["Lookup"]

_RETRY_SECONDS = 0.02
_COORDINATOR_MOVES = frozenset({"NOT_COORDINATOR", "COORDINATOR_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS"})


class Lookup:
    """Look-ups and seeks; only a seek needs an assignment.

    ``seconds`` bound a call; where they are not given, the request timeout does.
    """

    def __init__(self, consumer: Any, settings: KafkaSettings) -> None:
        self._kafka = confluent_kafka()
        self._consumer = consumer
        self._servers = settings.servers_text
        self._request_seconds = settings.request_timeout_seconds

    def partitions_of(self, topic: str, seconds: float | None = None) -> tuple[TopicPartition, ...]:
        """Return all partitions of a topic, ascending."""
        doing = f"partitions of {topic}"
        try:
            timeout = self._request_seconds if seconds is None else seconds
            described = self._consumer.list_topics(topic, timeout=timeout).topics[topic]
        except self._kafka.KafkaException as raised:
            mapped = translate_exception(raised, doing, topic=topic)
            if isinstance(mapped, BrokerUnavailableError):
                mapped = BrokerUnavailableError(f"no broker answers at {self._servers} ({mapped.message})", topic=topic)
            raise mapped from raised
        error = None if described.error is None else translate_error(described.error, doing, topic=topic)
        if error is not None and not isinstance(error, UnknownTopicError):
            raise error
        if error is not None or not described.partitions:
            raise UnknownTopicError(f"topic {topic} does not exist", topic=topic)
        return tuple(TopicPartition(topic, number) for number in sorted(described.partitions))

    def known_end(self, tp: TopicPartition) -> int | None:
        """Return the offset after the last record as the latest fetch told it; None before the first."""
        marks = self._consumer.get_watermark_offsets(self._kafka.TopicPartition(tp.topic, tp.partition), cached=True)
        return int(marks[1]) if marks is not None and marks[1] > 0 else None

    def offsets_for_times(self, times_ms: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
        """Return per partition the first offset of that time or later; None if there is none."""
        client_times = [self._kafka.TopicPartition(tp.topic, tp.partition, ms) for tp, ms in times_ms.items()]
        try:
            found = self._consumer.offsets_for_times(client_times, timeout=self._request_seconds)
        except self._kafka.KafkaException as error:
            raise translate_exception(error, "offsets for times") from error
        offsets: dict[TopicPartition, int | None] = {}
        for tp in found:
            if tp.error is not None:
                raise translate_error(tp.error, "offsets for times", topic=tp.topic)
            offsets[TopicPartition(tp.topic, tp.partition)] = tp.offset if tp.offset >= 0 else None
        return offsets

    def committed(
        self, partitions: Collection[TopicPartition], group: str, *, seconds: float | None = None
    ) -> dict[TopicPartition, int | None]:
        """Return the group's committed next offsets; None if there is none."""
        return {tp: its and its.offset for tp, its in self.commits(partitions, group, seconds=seconds).items()}

    def commits(
        self, partitions: Collection[TopicPartition], group: str, *, seconds: float | None = None
    ) -> dict[TopicPartition, Commit | None]:
        """Return the group's committed next offsets with their texts; None if there is none."""
        doing = f"committed offsets of group {group}"
        client_partitions = [self._kafka.TopicPartition(tp.topic, tp.partition) for tp in partitions]
        end = time.monotonic() + (self._request_seconds if seconds is None else seconds)
        while True:
            try:
                found = self._consumer.committed(client_partitions, timeout=max(0.1, end - time.monotonic()))
                break
            except self._kafka.KafkaException as error:
                # On a new cluster the first group's coordinator is created on demand; librdkafka does not wait for it.
                if error.args[0].name() not in _COORDINATOR_MOVES or time.monotonic() > end:
                    raise translate_exception(error, doing) from error
                time.sleep(_RETRY_SECONDS)
        commits: dict[TopicPartition, Commit | None] = {}
        for tp in found:
            if tp.error is not None:
                raise translate_error(tp.error, doing, topic=tp.topic)
            there = Commit(tp.offset, text_of(_metadata(tp))) if tp.offset >= 0 else None
            commits[TopicPartition(tp.topic, tp.partition)] = there
        return commits

    def seek(self, tp: TopicPartition, offset: int) -> bool:
        """Set the position of an assigned partition; return False where it has to be assigned anew to have one.

        So it is where the client has not started to fetch, or has given up because the broker lacks the offset.
        """
        try:
            self._consumer.seek(self._kafka.TopicPartition(tp.topic, tp.partition, offset))
        except self._kafka.KafkaException as error:
            if error.args[0].name() in {"_STATE", "_PREV_IN_PROGRESS"}:
                return False
            raise translate_exception(error, "seek", topic=tp.topic) from error
        return True


def _metadata(client_partition: Any) -> str:
    """Return the metadata of a fetched commit with what follows it in memory, which may be no text at all."""
    try:
        return client_partition.metadata or ""
    except UnicodeDecodeError as error:
        return error.object.decode("utf-8", "replace")
