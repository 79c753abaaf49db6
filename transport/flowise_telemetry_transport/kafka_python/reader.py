"""Reading through kafka-python."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from flowise_telemetry_schemas.errors import ConfigurationError
from flowise_telemetry_transport.commit_text import closed, text_of
from flowise_telemetry_transport.committing import commit_and_tell
from flowise_telemetry_transport.errors import (
    BrokerUnavailableError,
    TransportError,
    UnknownTopicError,
    check_assigned,
    check_commit,
    not_permitted,
    unreadable,
)
from flowise_telemetry_transport.kafka_python.config import client_config
from flowise_telemetry_transport.kafka_python.deadline import Deadline, OutOfTimeError
from flowise_telemetry_transport.kafka_python.errors import translate_error
from flowise_telemetry_transport.kafka_python.patches.blocking import bounded_client
from flowise_telemetry_transport.kafka_python.patches.fetching import Unreadable, mend_fetcher, record_of
from flowise_telemetry_transport.kafka_python.patches.isolation import reading_uncommitted
from flowise_telemetry_transport.kafka_python.patches.joining import (
    forget_assignment,
    forget_membership,
    mend_joining,
    note_partitions,
)
from flowise_telemetry_transport.kafka_python.patches.listener import rebalance_listener
from flowise_telemetry_transport.kafka_python.patches.positions import (
    known_position,
    note_resets,
    resume,
    seek_back,
)
from flowise_telemetry_transport.kafka_python.patches.rotation import rotating_client
from flowise_telemetry_transport.kafka_python.patches.topic_ids import topic_id_of
from flowise_telemetry_transport.kafka_python.patches.unauthorized import is_unauthorized
from flowise_telemetry_transport.kafka_python.release import import_kafka, is_kafka_python_3
from flowise_telemetry_transport.logging import quiet_threads_of
from flowise_telemetry_transport.ports import RebalanceCallback
from flowise_telemetry_transport.settings import METADATA_AGE_SECONDS, KafkaSettings
from flowise_telemetry_transport.types import Commit, ExpiredOffsets, OnCommitted, Record, TopicPartition

__all__ = ["KafkaPythonReader"]

# The extra time of a poll for one answer of the coordinator, so that a group of short polls makes progress.
_POLL_GRACE_SECONDS = 1.0
_LEAVE_SECONDS = 5.0


class KafkaPythonReader:
    """A ``RecordReader``. Isolation is read-committed; kafka-python-ng has only read-uncommitted."""

    def __init__(self, settings: KafkaSettings, *, group: str | None, client_id: str) -> None:
        self._servers = settings.servers_text
        self._group = group
        self._request_seconds = settings.request_timeout_seconds
        self._deadline = Deadline()
        self._assigned: frozenset[TopicPartition] = frozenset()
        self._subscription: tuple[list[str], Any] | None = None
        self._unreadable: dict[TopicPartition, tuple[int, str]] = {}
        self._commit_metadata: dict[TopicPartition, str] = {}
        self._lost: dict[TopicPartition, int] = {}  # positions that the log no longer has
        self._expired: list[ExpiredOffsets] = []
        self._callback_error: BaseException | None = None
        self._closed = False
        self._consumer = self._open(settings, client_id)
        note_resets(self._consumer, self._note_lost)
        mend_fetcher(self._consumer)
        mend_joining(self._consumer)

    def _open(self, settings: KafkaSettings, client_id: str) -> Any:
        client_class = import_kafka().KafkaConsumer
        quiet_threads_of(client_id, self._group)
        config = client_config(settings, client_class.DEFAULT_CONFIG)
        config.setdefault("metadata_max_age_ms", int(METADATA_AGE_SECONDS * 1000))
        if "isolation_level" in client_class.DEFAULT_CONFIG:
            config["isolation_level"] = "read_committed"
        try:
            with self._deadline.within(settings.connect_timeout_seconds):
                return client_class(
                    **config,
                    client_id=client_id,
                    group_id=self._group,
                    enable_auto_commit=False,
                    auto_offset_reset="earliest",
                    kafka_client=rotating_client(settings, bounded_client(self._deadline)),
                )
        except OutOfTimeError as error:
            self._deadline.on_failure()
            raise BrokerUnavailableError(f"no broker answers at {self._servers}") from error
        except Exception as error:
            self._deadline.on_failure()
            raise translate_error(error, f"no connection to {self._servers}") from error

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
        listener = rebalance_listener(
            self._consumer, lambda _: self._give_up(on_revoked), lambda assigned: self._take_over(assigned, on_assigned)
        )
        self._subscription = list(topics), listener
        self._join()

    def _join(self) -> None:
        assert self._subscription is not None  # noqa: S101 - a member has subscribed
        topics, listener = self._subscription
        if is_kafka_python_3(self._consumer):
            # As the leader it would assign no partitions of a topic that it has no metadata of, and then wait.
            with contextlib.suppress(TransportError):
                for topic in topics:
                    self.partitions_of(topic)
        self._consumer.subscribe(topics=topics, listener=listener)
        note_partitions(self._consumer)

    def _give_up(self, callback: RebalanceCallback | None) -> None:
        self._call(callback, self._assigned)
        self._forget()
        forget_assignment(self._consumer)

    def _forget(self) -> None:
        self._assigned = frozenset()
        self._unreadable.clear()
        self._lost.clear()

    def _take_over(self, assigned: Collection[Any], callback: RebalanceCallback | None) -> None:
        self._assigned = frozenset(TopicPartition(tp.topic, tp.partition) for tp in assigned)
        self._call(callback, self._assigned)

    def rejoin(self) -> None:
        """See ``RecordReader``."""
        self._forget()
        # Nobody polls meanwhile. Without an answer, the broker ends the old membership by its session timeout.
        with contextlib.suppress(TransportError), self._request(f"leaving group {self._group}", _LEAVE_SECONDS):
            self._consumer.unsubscribe()
        forget_membership(self._consumer)
        self._join()

    def _call(self, callback: RebalanceCallback | None, partitions: Collection[TopicPartition]) -> None:
        """Run a rebalance callback and keep what it raises for ``poll``: the client would only log it."""
        if callback is None or not partitions:
            return
        try:
            callback(partitions)
        except BaseException as error:  # raised by poll
            if self._callback_error is None:
                self._callback_error = error

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """See ``RecordReader``."""
        self._consumer.assign([_client_tp(tp) for tp in positions])
        self._forget()
        self._assigned = frozenset(positions)
        for tp, offset in positions.items():
            self._consumer.seek(_client_tp(tp), offset)

    def assignment(self) -> frozenset[TopicPartition]:
        """See ``RecordReader``."""
        return self._assigned

    def poll(self, *, timeout_seconds: float, max_records: int) -> list[Record]:
        """See ``RecordReader``."""
        self._raise_unreadable()
        before = {tp: known_position(self._consumer, tp) for tp in map(_client_tp, self._assigned)}
        fetched: dict[Any, list[Any]] = {}
        try:
            with self._deadline.within(timeout_seconds + _POLL_GRACE_SECONDS):
                fetched = self._consumer.poll(timeout_ms=int(timeout_seconds * 1000), max_records=max_records)
        except OutOfTimeError:
            pass
        except Exception as error:
            seek_back(self._consumer, before)
            of_group = type(error).__name__.startswith("Group") and self._group is not None
            mapped = translate_error(error, f"poll of group {self._group}" if of_group else "poll")
            if not isinstance(mapped, BrokerUnavailableError):
                raise mapped from error
        if self._callback_error is not None:
            for client_tp, batch in fetched.items():
                if batch:
                    self._consumer.seek(client_tp, batch[0].offset)
            callback_error, self._callback_error = self._callback_error, None
            raise callback_error
        if self._lost:
            self._note_expired(fetched)
        records = list(self._readable(fetched))
        if not records:
            self._raise_unreadable()
        return records

    def _note_lost(self, client_tp: Any, position: int) -> None:
        self._lost.setdefault(TopicPartition(client_tp.topic, client_tp.partition), position)

    def _note_expired(self, fetched: Mapping[Any, Sequence[Any]]) -> None:
        for tp, position in self.known_positions().items():
            if tp in self._lost:
                batch = fetched.get(_client_tp(tp))
                begin = batch[0].offset if batch else position
                if (lost := self._lost.pop(tp)) < begin:
                    self._expired.append(ExpiredOffsets(tp, lost, begin))

    def _readable(self, fetched: Mapping[Any, Sequence[Any]]) -> Iterator[Record]:
        for client_tp, batch in fetched.items():
            for each in batch:
                if type(each) is Record:
                    yield each
                elif type(each) is Unreadable:
                    self._unreadable[TopicPartition(*client_tp)] = (each.offset, each.reason)
                    self._consumer.seek(client_tp, each.offset)
                    break
                else:
                    yield record_of(each, *client_tp)

    def _raise_unreadable(self) -> None:
        paused = {TopicPartition(tp.topic, tp.partition) for tp in self._consumer.paused()}
        for tp, (offset, reason) in self._unreadable.items():
            if tp not in paused:
                raise unreadable(tp, offset, reason)

    def position(self, partition: TopicPartition) -> int:
        """See ``RecordReader``."""
        check_assigned([partition], self._assigned)
        with self._request(f"position of {partition.topic}[{partition.partition}]", self._request_seconds):
            return int(self._consumer.position(_client_tp(partition)))

    def known_positions(self) -> dict[TopicPartition, int]:
        """See ``RecordReader``."""
        known = {tp: known_position(self._consumer, _client_tp(tp)) for tp in self._assigned}
        return {tp: position for tp, position in known.items() if position is not None}

    def expired(self) -> list[ExpiredOffsets]:
        """See ``RecordReader``."""
        expired, self._expired = self._expired, []
        return expired

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """See ``RecordReader``."""
        check_assigned([partition], self._assigned)
        self._unreadable.pop(partition, None)
        self._lost.pop(partition, None)
        self._consumer.seek(_client_tp(partition), offset)

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """See ``RecordReader``."""
        check_assigned(partitions, self._assigned)
        self._consumer.pause(*[_client_tp(tp) for tp in partitions])

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """See ``RecordReader``."""
        check_assigned(partitions, self._assigned)
        resume(self._consumer, [_client_tp(tp) for tp in partitions])

    def commit(self, offsets: Mapping[TopicPartition, int], *, timeout_seconds: float) -> None:
        """See ``RecordReader``."""
        if self._group is None:
            raise ConfigurationError("commit needs a reader that was opened with a group")
        if not offsets:
            return
        if self._subscription is not None:
            check_commit(self._group, offsets, self._assigned)
        from kafka.structs import OffsetAndMetadata

        # The third field of kafka-python 2.1 and later: the leader epoch, -1 for "unknown" (KIP-320).
        epoch = [-1] * (len(OffsetAndMetadata._fields) - 2)
        client_offsets = {
            _client_tp(tp): OffsetAndMetadata(offset, closed(self._commit_metadata.get(tp, "")), *epoch)
            for tp, offset in offsets.items()
        }
        with self._request(f"commit of group {self._group}", timeout_seconds):
            self._consumer.commit(client_offsets)

    def begin_commit(
        self, offsets: Mapping[TopicPartition, int], on_done: OnCommitted, *, timeout_seconds: float
    ) -> None:
        """See ``RecordReader``; waits for the answer."""
        commit_and_tell(self, offsets, on_done, timeout_seconds=timeout_seconds)

    def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int | None]:
        """See ``RecordReader``."""
        if self._group is None:
            raise ConfigurationError("committed needs a reader that was opened with a group")
        with self._request(f"committed offsets of group {self._group}", self._request_seconds):
            return {tp: self._consumer.committed(_client_tp(tp)) for tp in partitions}

    def set_commit_metadata(self, metadata: Mapping[TopicPartition, str]) -> None:
        """See ``RecordReader``."""
        self._commit_metadata = dict(metadata)

    def commits(
        self, partitions: Collection[TopicPartition], *, timeout_seconds: float | None = None
    ) -> dict[TopicPartition, Commit | None]:
        """See ``RecordReader``."""
        if self._group is None:
            raise ConfigurationError("commits needs a reader that was opened with a group")
        with self._request(f"committed offsets of group {self._group}", self._or_request_seconds(timeout_seconds)):
            found = {tp: self._consumer.committed(_client_tp(tp), metadata=True) for tp in partitions}
        return {tp: its and Commit(its.offset, text_of(its.metadata or "")) for tp, its in found.items()}

    def partitions_of(self, topic: str) -> tuple[TopicPartition, ...]:
        """See ``RecordReader``."""
        return self._partitions_of(topic, self._request_seconds)

    def _partitions_of(self, topic: str, seconds: float) -> tuple[TopicPartition, ...]:
        with self._request(f"partitions of {topic}", seconds):
            refreshed = self._metadata_age()
            found = self._consumer.partitions_for_topic(topic)
            if not found and self._metadata_age() == refreshed:
                raise BrokerUnavailableError(f"partitions of {topic}: no answer from {self._servers}")
        if not found:
            with self._request(f"partitions of {topic}", seconds):
                refused = is_unauthorized(self._consumer, topic)
            if refused:
                raise not_permitted("topic", f"partitions of {topic}", topic=topic)
            raise UnknownTopicError(f"topic {topic} does not exist", topic=topic)
        return tuple(TopicPartition(topic, number) for number in sorted(found))

    def _metadata_age(self) -> object:
        """Return when metadata last arrived: the client does not say whether a look-up was answered."""
        return getattr(self._consumer._client.cluster, "_last_successful_refresh_ms", object())

    def beginning_offsets(
        self, partitions: Collection[TopicPartition], *, timeout_seconds: float | None = None
    ) -> dict[TopicPartition, int]:
        """See ``RecordReader``."""
        return self._offsets("beginning_offsets", partitions, timeout_seconds)

    def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """See ``RecordReader``."""
        return self._offsets("end_offsets", partitions)

    def high_watermarks(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """See ``RecordReader``."""
        with reading_uncommitted(self._consumer):
            return self._offsets("end_offsets", partitions)

    def offsets_for_times(self, times_ms: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
        """See ``RecordReader``."""
        self._require_known(times_ms, self._request_seconds)
        with self._request("offsets for times", self._request_seconds):
            found = self._consumer.offsets_for_times({_client_tp(tp): time_ms for tp, time_ms in times_ms.items()})
        places = {tp: found.get(_client_tp(tp)) for tp in times_ms}
        return {tp: place.offset if place is not None and place.offset >= 0 else None for tp, place in places.items()}

    def topic_id(self, topic: str, *, timeout_seconds: float | None = None) -> str | None:
        """See ``RecordReader``; None with kafka-python 3."""
        with self._request(f"id of topic {topic}", self._or_request_seconds(timeout_seconds)):
            return topic_id_of(self._consumer._client, topic)

    def _or_request_seconds(self, seconds: float | None) -> float:
        return self._request_seconds if seconds is None else seconds

    def _require_known(self, partitions: Collection[TopicPartition], seconds: float) -> None:
        """Raise ``UnknownTopicError`` for a partition that does not exist: the client would wait for it forever."""
        for topic in sorted({tp.topic for tp in partitions}):
            unknown = {tp for tp in partitions if tp.topic == topic}.difference(self._partitions_of(topic, seconds))
            if unknown:
                raise UnknownTopicError(f"{topic} has no partition {min(unknown).partition}", topic=topic)

    def _offsets(
        self, method: str, partitions: Collection[TopicPartition], seconds: float | None = None
    ) -> dict[TopicPartition, int]:
        seconds = self._or_request_seconds(seconds)
        end = time.monotonic() + seconds
        self._require_known(partitions, seconds)
        with self._request(method.replace("_", " "), max(0.1, end - time.monotonic())):
            found = getattr(self._consumer, method)([_client_tp(tp) for tp in partitions])
        return {tp: int(found[_client_tp(tp)]) for tp in partitions}

    @contextmanager
    def _request(self, doing: str, seconds: float) -> Iterator[None]:
        """Bound a call to the cluster and map its errors."""
        try:
            with self._deadline.within(seconds):
                yield
        except OutOfTimeError as error:
            raise BrokerUnavailableError(f"{doing}: no answer from {self._servers} within {seconds:g} s") from error
        except Exception as error:
            mapped = translate_error(error, doing)
            if mapped is error:
                raise
            raise mapped from error

    def close(self, *, timeout_seconds: float = 10.0) -> None:
        """See ``RecordReader``."""
        if self._closed:
            return
        self._closed = True
        self._assigned = frozenset()

        def leave() -> None:
            with self._deadline.within(timeout_seconds):
                try:
                    self._consumer.close(autocommit=False)
                except Exception:  # the connection may be broken in any way: close its socket at least
                    self._consumer._client.close()

        # In a thread of its own: the client waits for its heartbeat thread without a bound.
        closing = threading.Thread(target=leave, name="flowise-telemetry-reader-close", daemon=True)
        closing.start()
        closing.join(timeout_seconds)


def _client_tp(tp: TopicPartition) -> Any:
    from kafka.structs import TopicPartition as KafkaTopicPartition

    return KafkaTopicPartition(tp.topic, tp.partition)
