"""Reading through confluent-kafka."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from flowise_telemetry_schemas.errors import ConfigurationError, TelemetryError
from flowise_telemetry_transport.commit_text import closed
from flowise_telemetry_transport.committing import commit_and_tell
from flowise_telemetry_transport.errors import BrokerUnavailableError, TransportError, check_assigned, check_commit
from flowise_telemetry_transport.librdkafka.assignment import Assignment
from flowise_telemetry_transport.librdkafka.client import check_connection, confluent_kafka, make_client, within
from flowise_telemetry_transport.librdkafka.commits import Commits, commit_now
from flowise_telemetry_transport.librdkafka.credentials import Credentials
from flowise_telemetry_transport.librdkafka.lookup import Lookup
from flowise_telemetry_transport.librdkafka.membership import Membership
from flowise_telemetry_transport.librdkafka.messages import Messages
from flowise_telemetry_transport.librdkafka.offsets import ClusterOffsets
from flowise_telemetry_transport.librdkafka.rebalancing import is_cooperative, member_config
from flowise_telemetry_transport.ports import RebalanceCallback
from flowise_telemetry_transport.settings import METADATA_AGE_SECONDS, KafkaSettings
from flowise_telemetry_transport.types import Commit, ExpiredOffsets, OnCommitted, Record, TopicPartition

__all__ = ["LibrdkafkaReader"]

_ANSWER_SECONDS = 0.02


class LibrdkafkaReader:
    """A ``RecordReader``. Isolation is read-committed."""

    def __init__(self, settings: KafkaSettings, *, group: str | None, client_id: str) -> None:
        self._servers = settings.servers_text
        self._group = group
        self._committing = f"commit of group {group}"
        self._commit_metadata: dict[TopicPartition, str] = {}
        self._closed = False
        self._cooperative = is_cooperative(settings)
        self._credentials = Credentials(settings)
        self._commits = Commits()
        self._consumer = make_client(
            confluent_kafka().Consumer,
            settings,
            {
                "client.id": client_id,
                "group.id": group or f"{client_id}.without-group",  # librdkafka requires one even to assign
                **member_config(settings),
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,  # gives the position past a gap at the end
                # Never by itself: after a damaged batch the client asks for an offset out of that batch's bytes, which
                # the broker does not have, and would begin again. ``Assignment.restore`` says where to go on.
                "auto.offset.reset": "error",
                # Enough fetched ahead for some batches; when it is full, the default is to look again after a second.
                "queued.max.messages.kbytes": 16_384,
                "fetch.queue.backoff.ms": 20,
                "topic.metadata.refresh.interval.ms": int(METADATA_AGE_SECONDS * 1000),
                "isolation.level": "read_committed",
                "check.crcs": True,
                "on_commit": self._commits.answered,
            },
            self._credentials,
        )
        self._lookup = Lookup(self._consumer, settings)
        self._offsets = ClusterOffsets(settings, self._lookup.partitions_of)
        self._assignment = Assignment(self._consumer, self._lookup, self._offsets, group=group)
        self._membership = Membership(self._consumer, self._assignment)
        self._messages = Messages(self._assignment, self._lookup, group=group)
        try:
            check_connection(self._consumer, settings)
        except BaseException:
            self.close(timeout_seconds=1.0)
            raise

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        on_assigned: RebalanceCallback | None = None,
        on_revoked: RebalanceCallback | None = None,
    ) -> None:
        """See ``RecordReader``."""
        if self._group is None:
            raise ConfigurationError("subscribe needs a reader that was opened with a group")
        self._assignment.incremental = self._cooperative
        self._membership.join(topics, on_assigned, on_revoked)

    def rejoin(self) -> None:
        """See ``RecordReader``."""
        self._membership.rejoin()

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """See ``RecordReader``."""
        self._assignment.replace(positions)

    def assignment(self) -> frozenset[TopicPartition]:
        """See ``RecordReader``."""
        return self._assignment.partitions

    def poll(self, *, timeout_seconds: float, max_records: int) -> list[Record]:
        """See ``RecordReader``."""
        self._assignment.raise_unreadable()
        self._assignment.restore()
        first = self._consumer.poll(timeout_seconds)
        self._credentials.renew(self._consumer)
        self._raise_from_callback([first])
        if first is None:
            return []
        messages = [first]
        if max_records > 1:
            # One call for many. Their order does not show a rebalance between two of them: then all are read again.
            rebalances = self._membership.rebalances
            messages += self._consumer.consume(max_records - 1, 0)
            if self._membership.rebalances != rebalances:
                self._raise_from_callback(messages)
                self._assignment.start_over()
                return []
        records = self._messages.records(messages)
        if not records:
            self._assignment.raise_unreadable()
        return records

    def _raise_from_callback(self, messages: Sequence[Any]) -> None:
        """Raise what a rebalance callback raised; the messages of the same call are read again."""
        error = self._membership.take_error()
        if error is None:
            return
        if any(message is not None for message in messages):
            self._assignment.start_over()
        raise error

    def position(self, partition: TopicPartition) -> int:
        """See ``RecordReader``."""
        check_assigned([partition], self._assignment.partitions)
        known = self._assignment.positions().get(partition)
        if known is None and self._group is not None:
            known = self.committed([partition])[partition]
        return self.beginning_offsets([partition])[partition] if known is None else known

    def known_positions(self) -> dict[TopicPartition, int]:
        """See ``RecordReader``."""
        return self._assignment.positions()

    def expired(self) -> list[ExpiredOffsets]:
        """See ``RecordReader``."""
        return self._assignment.take_expired()

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """See ``RecordReader``."""
        self._assignment.seek(partition, offset)

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """See ``RecordReader``."""
        self._assignment.pause(partitions)

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """See ``RecordReader``."""
        self._assignment.resume(partitions)

    def commit(self, offsets: Mapping[TopicPartition, int], *, timeout_seconds: float) -> None:
        """See ``RecordReader``."""
        self._check_commit(offsets)
        answers: list[TelemetryError | None] = []
        if self._membership.is_member:
            self._send_commit(offsets, answers.append)
            if self._membership.in_callback and not answers:
                # Only sent: librdkafka does not give the partitions up before it is answered, and where it fails, the
                # next owner reads the records again.
                return
            self._await(answers, timeout_seconds)
        else:
            # In another thread, as it has no timeout, and whoever is no member has nothing to poll for.
            its = self._client_commits(offsets)
            within(timeout_seconds, lambda: answers.append(commit_now(self._consumer, its, self._committing)))
        if not answers:
            raise BrokerUnavailableError(
                f"{self._committing}: no answer from {self._servers} within {timeout_seconds:g} s"
            )
        if answers[0] is not None:
            raise answers[0]

    def _await(self, answers: Sequence[object], timeout_seconds: float) -> None:
        """Wait for an answer that comes with a poll; what else comes is read again."""
        end = time.monotonic() + timeout_seconds
        others = False
        while not answers and (left := end - time.monotonic()) > 0:
            others = self._consumer.poll(min(_ANSWER_SECONDS, left)) is not None or others
        if others:
            self._assignment.start_over()

    def begin_commit(
        self, offsets: Mapping[TopicPartition, int], on_done: OnCommitted, *, timeout_seconds: float
    ) -> None:
        """See ``RecordReader``; a member's answer comes with a poll."""
        if not self._membership.is_member:
            commit_and_tell(self, offsets, on_done, timeout_seconds=timeout_seconds)
            return
        try:
            self._check_commit(offsets)
        except TransportError as error:
            on_done(error)
        else:
            self._send_commit(offsets, on_done)

    def _send_commit(self, offsets: Mapping[TopicPartition, int], on_done: OnCommitted) -> None:
        self._commits.send(self._consumer, self._client_commits(offsets), self._committing, on_done)

    def _check_commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        if self._group is None:
            raise ConfigurationError("commit needs a reader that was opened with a group")
        if self._membership.is_member:
            # Lost ones too: their commit would wait for a coordinator that may be away, in a callback, without a bound.
            check_commit(self._group, offsets, () if self._membership.is_lost else self._assignment.partitions)

    def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int | None]:
        """See ``RecordReader``."""
        if self._group is None:
            raise ConfigurationError("committed needs a reader that was opened with a group")
        return self._lookup.committed(partitions, self._group)

    def set_commit_metadata(self, metadata: Mapping[TopicPartition, str]) -> None:
        """See ``RecordReader``."""
        self._commit_metadata = dict(metadata)

    def commits(
        self, partitions: Collection[TopicPartition], *, timeout_seconds: float | None = None
    ) -> dict[TopicPartition, Commit | None]:
        """See ``RecordReader``."""
        if self._group is None:
            raise ConfigurationError("commits needs a reader that was opened with a group")
        return self._lookup.commits(partitions, self._group, seconds=timeout_seconds)

    def partitions_of(self, topic: str) -> tuple[TopicPartition, ...]:
        """See ``RecordReader``."""
        return self._lookup.partitions_of(topic)

    def beginning_offsets(
        self, partitions: Collection[TopicPartition], *, timeout_seconds: float | None = None
    ) -> dict[TopicPartition, int]:
        """See ``RecordReader``."""
        return self._offsets.beginnings(partitions, seconds=timeout_seconds)

    def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """See ``RecordReader``."""
        return self._offsets.ends(partitions, committed=True)

    def high_watermarks(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """See ``RecordReader``."""
        return self._offsets.ends(partitions, committed=False)

    def offsets_for_times(self, times_ms: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
        """See ``RecordReader``."""
        return self._lookup.offsets_for_times(times_ms)

    def topic_id(self, topic: str, *, timeout_seconds: float | None = None) -> str | None:
        """See ``RecordReader``."""
        return self._offsets.topic_id(topic, seconds=timeout_seconds)

    def _client_commits(self, offsets: Mapping[TopicPartition, int]) -> list[Any]:
        client_tp, texts = confluent_kafka().TopicPartition, self._commit_metadata
        return [client_tp(*tp, offset, closed(texts.get(tp, ""))) for tp, offset in offsets.items()]

    def close(self, *, timeout_seconds: float = 10.0) -> None:
        """See ``RecordReader``."""
        if self._closed:
            return
        self._closed = True
        self._membership.leave()
        self._assignment.clear()
        end = time.monotonic() + timeout_seconds
        within(timeout_seconds, self._consumer.close)
        self._offsets.close(timeout_seconds=max(0.0, end - time.monotonic()))
