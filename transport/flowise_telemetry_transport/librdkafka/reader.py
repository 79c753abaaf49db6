"""Reading through confluent-kafka."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from flowise_telemetry_schemas.errors import ConfigurationError
from flowise_telemetry_transport.errors import (
    BrokerUnavailableError,
    TransportError,
    UnreadableRecordError,
    check_assigned,
    check_commit,
    unreadable,
)
from flowise_telemetry_transport.librdkafka.client import check_connection, confluent_kafka, make_client, within
from flowise_telemetry_transport.librdkafka.errors import UNAVAILABLE, UNREADABLE, translate_error
from flowise_telemetry_transport.librdkafka.lookup import Lookup
from flowise_telemetry_transport.librdkafka.offsets import ClusterOffsets
from flowise_telemetry_transport.ports import RebalanceCallback
from flowise_telemetry_transport.settings import KafkaSettings
from flowise_telemetry_transport.types import ExpiredOffsets, Record, TopicPartition

__all__ = ["LibrdkafkaReader"]


class LibrdkafkaReader:
    """A ``RecordReader``. Isolation is read-committed."""

    def __init__(self, settings: KafkaSettings, *, group: str | None, client_id: str) -> None:
        self._kafka = confluent_kafka()
        self._servers = settings.servers_text
        self._group = group
        self._assigned: frozenset[TopicPartition] = frozenset()
        self._positions: dict[TopicPartition, int] = {}
        self._unreadable: dict[TopicPartition, UnreadableRecordError] = {}
        self._astray: set[TopicPartition] = set()  # of which the broker does not have the offset that was asked for
        self._restart = False  # the positions are ours, and the client has yet to be given them
        self._begun: set[TopicPartition] = set()  # of which the group has committed nothing: from the beginning
        self._expired: list[ExpiredOffsets] = []
        self._paused: set[TopicPartition] = set()
        self._subscribe: Callable[[], None] | None = None
        self._assigning = False
        self._in_callback = False
        self._callback_error: BaseException | None = None
        self._rebalances = 0
        self._closed = False
        self._consumer = make_client(
            self._kafka.Consumer,
            settings,
            {
                "client.id": client_id,
                "group.id": group or f"{client_id}.without-group",  # librdkafka requires one even to assign
                "session.timeout.ms": int(settings.session_timeout_seconds * 1000),
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,  # gives the position past a gap at the end
                # Never by itself: after a damaged batch the client asks for an offset out of that batch's bytes, which
                # the broker does not have, and would begin again. ``_restore`` says where to go on.
                "auto.offset.reset": "error",
                # Enough fetched ahead for some batches; when it is full, the default is to look again after a second.
                "queued.max.messages.kbytes": 16_384,
                "fetch.queue.backoff.ms": 20,
                "isolation.level": "read_committed",
                "check.crcs": True,
            },
        )
        self._lookup = Lookup(self._consumer, settings)
        self._offsets = ClusterOffsets(settings, self._lookup.partitions_of)
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

        def assigned(consumer: Any, partitions: Sequence[Any]) -> None:
            self._rebalances += 1
            self._take_over(partitions, on_assigned)

        def revoked(consumer: Any, partitions: Sequence[Any]) -> None:
            self._rebalances += 1
            self._give_up(on_revoked)

        self._subscribe = lambda: self._consumer.subscribe(
            list(topics), on_assign=assigned, on_revoke=revoked, on_lost=revoked
        )
        self._subscribe()

    def rejoin(self) -> None:
        """See ``RecordReader``."""
        assert self._subscribe is not None  # noqa: S101 - a member has subscribed
        self._assigned = frozenset()
        self._forget()
        self._consumer.unsubscribe()
        self._subscribe()

    def _take_over(self, partitions: Sequence[Any], callback: RebalanceCallback | None) -> None:
        self._assigned = frozenset(TopicPartition(tp.topic, tp.partition) for tp in partitions)
        self._forget()
        self._assigning = True
        try:
            self._call(callback)
        finally:
            self._assigning = False
        # A seek inside the callback is not possible yet: it becomes the offset to start from.
        self._consumer.assign([self._client_tp(tp, self._start_of(tp)) for tp in self._assigned])
        self._consumer.resume(
            [self._client_tp(tp) for tp in self._assigned]
        )  # librdkafka keeps pauses across assignments
        self._consumer.pause([self._client_tp(tp) for tp in self._paused])

    def _give_up(self, callback: RebalanceCallback | None) -> None:
        if self._closed:
            return
        self._call(callback)
        self._assigned = frozenset()
        self._forget()

    def _forget(self) -> None:
        self._positions.clear()
        self._unreadable.clear()
        self._astray.clear()
        self._begun.clear()
        self._restart = False
        self._paused.clear()

    def _call(self, callback: RebalanceCallback | None) -> None:
        """Run a rebalance callback and keep what it raises for ``poll``: librdkafka must complete the rebalance."""
        if callback is None or not self._assigned:
            return
        self._in_callback = True
        try:
            callback(self._assigned)
        except BaseException as error:
            if self._callback_error is None:
                self._callback_error = error
        finally:
            self._in_callback = False

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """See ``RecordReader``."""
        self._assigned = frozenset(positions)
        self._forget()
        self._positions.update(positions)
        client_partitions = [self._client_tp(tp, offset) for tp, offset in positions.items()]
        self._consumer.assign(client_partitions)
        self._consumer.resume(client_partitions)  # librdkafka keeps pauses across assignments

    def assignment(self) -> frozenset[TopicPartition]:
        """See ``RecordReader``."""
        return self._assigned

    def poll(self, *, timeout_seconds: float, max_records: int) -> list[Record]:
        """See ``RecordReader``."""
        self._raise_unreadable()
        self._restore()
        first = self._consumer.poll(timeout_seconds)
        self._raise_from_callback([first])
        if first is None:
            return []
        messages = [first]
        if max_records > 1:
            # One call for many. Their order does not show a rebalance between two of them: then all are read again.
            rebalances = self._rebalances
            messages += self._consumer.consume(max_records - 1, 0)
            if self._rebalances != rebalances:
                self._raise_from_callback(messages)
                self._start_over()
                return []
        records = self._records_of(messages)
        if not records:
            self._raise_unreadable()
        return records

    def _raise_from_callback(self, messages: Sequence[Any]) -> None:
        """Raise what a rebalance callback raised; the messages of the same call are read again."""
        error, self._callback_error = self._callback_error, None
        if error is None:
            return
        if any(message is not None for message in messages):
            self._start_over()
        raise error

    def _start_over(self) -> None:
        """Read again from where the partitions were assigned or sought to."""
        if self._assigned:
            self._consumer.assign([self._client_tp(tp, self._start_of(tp)) for tp in self._assigned])
            self._consumer.pause([self._client_tp(tp) for tp in self._paused.union(self._unreadable)])

    def _start_of(self, tp: TopicPartition) -> int:
        """Return the offset to read from; one of librdkafka's special values where nothing was read yet."""
        begin = self._kafka.OFFSET_BEGINNING if tp in self._begun else self._kafka.OFFSET_STORED
        return self._positions.get(tp, int(begin))

    def _records_of(self, messages: Sequence[Any]) -> list[Record]:
        """Return the records among messages, in their order; note ends of partitions and broken records."""
        none = self._kafka.TIMESTAMP_NOT_AVAILABLE
        ours = {(tp.topic, tp.partition): tp for tp in self._assigned}
        nexts: dict[TopicPartition, int] = {}
        records: list[Record] = []
        try:
            for message in messages:
                topic, partition, offset = message.topic(), message.partition(), message.offset()
                tp = ours.get((topic, partition))
                if tp in self._unreadable:
                    continue  # read again after the broken one
                error = message.error()
                if error is not None:
                    place = tp or TopicPartition(topic or "", -1 if partition is None else partition)
                    self._take(nexts)
                    self._note(error, place, offset)
                    continue
                if tp is None:
                    continue
                try:
                    kind, timestamp_ms = message.timestamp()
                    record = Record(
                        topic,
                        partition,
                        offset,
                        -1 if kind == none else timestamp_ms,
                        message.key(),
                        message.value(),
                        tuple(message.headers() or ()),
                    )
                except (UnicodeDecodeError, SystemError) as unparsed:
                    # confluent-kafka raises the first as the cause of the second.
                    self._take(nexts)
                    self._set_unreadable(tp, offset, str(unparsed.__cause__ or unparsed))
                    continue
                records.append(record)
                nexts[tp] = offset + 1
        except TransportError:
            self._rewind(messages)
            raise
        self._take(nexts)
        return records

    def _take(self, nexts: dict[TopicPartition, int]) -> None:
        self._positions |= nexts
        nexts.clear()

    def _note(self, error: Any, tp: TopicPartition, offset: int | None) -> None:
        name = error.name()
        if name == "_PARTITION_EOF":
            if tp in self._assigned and offset is not None:
                self._positions[tp] = max(offset, self._positions.get(tp, 0))
        elif name == "_AUTO_OFFSET_RESET":
            if tp in self._assigned:
                self._astray.add(tp)
        elif _is_unreadable(error) and tp in self._assigned and offset is not None and offset >= 0:
            self._set_unreadable(tp, self._broken_offset(tp, offset), error.str())
        elif name not in UNAVAILABLE | {"UNKNOWN_TOPIC_OR_PART", "_MAX_POLL_EXCEEDED", "_STATE"}:
            raise translate_error(error, "poll", topic=tp.topic or None)

    def _broken_offset(self, tp: TopicPartition, offset: int) -> int:
        """Return which offset a broken batch stands for: the one that is read next.

        The client names the batch's first, even when reading began in its middle, or one out of bytes that are none.
        """
        position = self._positions.get(tp)
        if position is None:
            return offset
        end = self._lookup.known_end(tp)
        return position if end is not None and offset >= end else max(offset, position)

    def _restore(self) -> None:
        """Go on where we were in partitions whose offset the broker does not have; past what retention removed.

        From the beginning where nothing was read yet, or where the log now ends before our position.
        """
        if not self._astray and not self._restart:
            return
        try:
            if self._astray:
                self._find_way()
        except BrokerUnavailableError:
            return  # the next poll tries again
        self._restart = False
        self._start_over()  # the client has given these partitions up: a seek is refused

    def _find_way(self) -> None:
        """Choose where to go on in the partitions whose offset the broker does not have."""
        begins, ends = self.beginning_offsets(self._astray), self.high_watermarks(self._astray)
        unread = self._astray - self._positions.keys()
        committed = self.committed(unread) if unread and self._group is not None else {}
        for tp in self._astray:
            position = self._positions.get(tp, committed.get(tp))
            if position is None:
                self._begun.add(tp)
                continue
            if position < begins[tp]:
                self._expired.append(ExpiredOffsets(tp, position, begins[tp]))
            self._positions[tp] = position if begins[tp] <= position <= ends[tp] else begins[tp]
        self._astray.clear()

    def _set_unreadable(self, tp: TopicPartition, offset: int, reason: str) -> None:
        self._unreadable[tp] = unreadable(tp, offset, reason)
        self._seek(tp, offset)
        self._consumer.pause([self._client_tp(tp)])  # the others are read on while this one waits for a seek

    def _raise_unreadable(self) -> None:
        for tp, error in self._unreadable.items():
            if tp not in self._paused:
                raise error

    def _rewind(self, messages: Sequence[Any]) -> None:
        """Seek back so that messages of which none will be returned are read again."""
        firsts: dict[TopicPartition, int] = {}
        for message in messages:
            if message.error() is None:
                firsts.setdefault(TopicPartition(message.topic(), message.partition()), message.offset())
        for tp, offset in firsts.items():
            if tp in self._assigned:
                self.seek(tp, offset)

    def position(self, partition: TopicPartition) -> int:
        """See ``RecordReader``."""
        check_assigned([partition], self._assigned)
        known = self._positions.get(partition)
        if known is None and self._group is not None:
            known = self.committed([partition])[partition]
        return self.beginning_offsets([partition])[partition] if known is None else known

    def known_positions(self) -> dict[TopicPartition, int]:
        """See ``RecordReader``."""
        return dict(self._positions)

    def expired(self) -> list[ExpiredOffsets]:
        """See ``RecordReader``."""
        expired, self._expired = self._expired, []
        return expired

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """See ``RecordReader``."""
        check_assigned([partition], self._assigned)
        if self._unreadable.pop(partition, None) and partition not in self._paused:
            self._consumer.resume([self._client_tp(partition)])
        self._seek(partition, offset)

    def _seek(self, partition: TopicPartition, offset: int) -> None:
        self._positions[partition] = offset
        self._astray.discard(partition)
        if self._assigning:
            return
        if not self._lookup.seek(partition, offset):
            self._restart = True

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """See ``RecordReader``."""
        check_assigned(partitions, self._assigned)
        self._paused.update(partitions)
        if not self._assigning:
            self._consumer.pause([self._client_tp(tp) for tp in partitions])

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """See ``RecordReader``."""
        check_assigned(partitions, self._assigned)
        self._paused.difference_update(partitions)
        if not self._assigning:
            self._consumer.resume([self._client_tp(tp) for tp in partitions if tp not in self._unreadable])

    def commit(self, offsets: Mapping[TopicPartition, int], *, timeout_seconds: float) -> None:
        """See ``RecordReader``."""
        if self._group is None:
            raise ConfigurationError("commit needs a reader that was opened with a group")
        if self._subscribe is not None:
            check_commit(self._group, offsets, self._assigned)
        client_offsets = [self._client_tp(tp, offset) for tp, offset in offsets.items()]
        doing = f"commit of group {self._group}"
        done: list[Any] = []
        if self._in_callback:
            # In a rebalance callback librdkafka accepts a commit from this thread only; the request timeout bounds it.
            done.append(self._lookup.commit(client_offsets, doing))
        # Otherwise in another thread: a synchronous commit has no timeout, an asynchronous one is answered in poll.
        elif not within(timeout_seconds, lambda: done.append(self._lookup.commit(client_offsets, doing))):
            raise BrokerUnavailableError(f"{doing}: no answer from {self._servers} within {timeout_seconds:g} s")
        if isinstance(done[0], Exception):
            raise done[0]

    def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int | None]:
        """See ``RecordReader``."""
        if self._group is None:
            raise ConfigurationError("committed needs a reader that was opened with a group")
        return self._lookup.committed(partitions, self._group)

    def partitions_of(self, topic: str) -> tuple[TopicPartition, ...]:
        """See ``RecordReader``."""
        return self._lookup.partitions_of(topic)

    def beginning_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """See ``RecordReader``."""
        return self._offsets.beginnings(partitions)

    def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """See ``RecordReader``."""
        return self._offsets.ends(partitions, committed=True)

    def high_watermarks(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """See ``RecordReader``."""
        return self._offsets.ends(partitions, committed=False)

    def offsets_for_times(self, times_ms: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
        """See ``RecordReader``."""
        return self._lookup.offsets_for_times(times_ms)

    def topic_id(self, topic: str) -> str | None:
        """See ``RecordReader``."""
        return self._offsets.topic_id(topic)

    def _client_tp(self, tp: TopicPartition, offset: int | None = None) -> Any:
        if offset is None:
            return self._kafka.TopicPartition(tp.topic, tp.partition)
        return self._kafka.TopicPartition(tp.topic, tp.partition, offset)

    def close(self, *, timeout_seconds: float = 10.0) -> None:
        """See ``RecordReader``."""
        if self._closed:
            return
        self._closed = True
        self._assigned = frozenset()
        self._offsets.close()
        within(timeout_seconds, self._consumer.close)


def _is_unreadable(error: Any) -> bool:
    # The second: bytes out of a damaged batch that are taken for the next one. A codec that this build of the client
    # lacks has the same name, and is no fault of the record.
    return error.name() in UNREADABLE or (error.name() == "_NOT_IMPLEMENTED" and "MagicByte" in error.str())
