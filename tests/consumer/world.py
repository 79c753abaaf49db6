"""A topic, a consumer and a sink in memory, with a clock that only moves when told."""

from __future__ import annotations

import dataclasses
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from random import Random
from typing import Any

import polars as pl

from flowise_telemetry_consumer import Consumer, ConsumerSettings
from flowise_telemetry_consumer.monitoring.counters import OnChange
from flowise_telemetry_consumer.retry import RunControl
from flowise_telemetry_consumer.sinks.claims import is_group
from flowise_telemetry_consumer.sinks.port import Batch, SourceProgress, WriteResult
from flowise_telemetry_schemas import EventSchema, catalog
from flowise_telemetry_schemas.codec import encode
from flowise_telemetry_transport.errors import TransportError
from flowise_telemetry_transport.memory import InMemoryBroker
from flowise_telemetry_transport.memory.reader import InMemoryReader
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import Delivery, Headers, OutgoingRecord, Record, TopicPartition, TopicSpec
from tests.schemas.records import ENVELOPE, EVENTS, STATE, record_of

TOPIC = "events"
DLQ = "events.dlq"
GROUP = "service"

_TURNS = 5_000


class FakeClock:
    """A clock that moves only when someone sleeps or waits on it."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.wall_ms = 1_700_000_000_000
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def now_ms(self) -> int:
        return self.wall_ms

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class LongestWaits(Random):
    """A ``Random`` that makes every wait of a ``Backoff`` the longest possible."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


class StopWhen(threading.Event):
    """An event that is set once its condition holds; the condition is called once a turn and may act between turns."""

    def __init__(self, condition: Callable[[], bool], *, turns: int = _TURNS) -> None:
        super().__init__()
        self._condition = condition
        self._turns = turns

    def is_set(self) -> bool:
        self._turns -= 1
        assert self._turns > 0, "what the test waits for does not come"
        return super().is_set() or self._condition()


class SameThread(Executor):
    """An executor that works on the caller's thread at once, so that every run is the same."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


class InstantReader(InMemoryReader):
    """An in-memory reader whose waits move the fake clock and take no time."""

    def __init__(self, broker: InMemoryBroker, group: str | None, clock: FakeClock, member: int = 1_000) -> None:
        super().__init__(broker.cluster, group, member)
        self.clock = clock
        self.before_commit: Callable[[Mapping[TopicPartition, int]], None] = lambda offsets: None
        self.polls = 0
        self.polling = False
        self.paused: set[TopicPartition] = set()

    def poll(self, *, timeout_seconds: float, max_records: int) -> list[Record]:
        self.polls += 1
        self.polling = True
        try:
            records = super().poll(timeout_seconds=0, max_records=max_records)
        finally:
            self.polling = False
        if not records:
            self.clock.now += timeout_seconds
            time.sleep(0)  # no wait: lets the sink's thread have its turn, where there is one
        return records

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self.paused |= set(partitions)
        super().pause(list(partitions))

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self.paused -= set(partitions)
        super().resume(list(partitions))

    def commit(self, offsets: Mapping[TopicPartition, int], *, timeout_seconds: float) -> None:
        self.before_commit(offsets)
        super().commit(offsets, timeout_seconds=timeout_seconds)


class MemorySink:
    """A sink that keeps events in a dict. The next writes raise ``failures``; ``on_write`` is called before each.

    It keeps the progress of consumer groups only.
    """

    url = "memory:"

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, dict[str, object]]] = {}
        self.failures: list[Exception] = []
        self.on_write: Callable[[Batch], None] = lambda batch: None
        self.batches: list[Batch] = []
        self.claims: list[tuple[str, frozenset[TopicPartition]]] = []
        self.next_offsets: dict[tuple[str, TopicPartition], int] = {}
        self.descriptions: dict[tuple[str, TopicPartition], str] = {}
        # A batch that was given up may still be on its way in, on the sink's thread, while the test looks.
        self._lock = threading.Lock()

    def prepare(self, schemas: Iterable[EventSchema]) -> None:
        for schema in schemas:
            self.rows.setdefault(schema.event, {})

    def write(self, batch: Batch) -> WriteResult:
        self.on_write(batch)
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append(batch)
        written = {}
        with self._lock:
            for event, frame in batch.frames.items():
                before = len(self.rows[event])
                for row in frame.iter_rows(named=True):
                    self.rows[event].setdefault(row["event_id"], row)
                written[event] = len(self.rows[event]) - before
        for tp, offset in batch.offsets.items():
            if (batch.source, tp) in self.descriptions:
                self.next_offsets[batch.source, tp] = offset
        duplicates = {event: frame.height - written[event] for event, frame in batch.frames.items()}
        return WriteResult(written, duplicates)

    def claim(
        self, source: str, partitions: Iterable[TopicPartition], *, description: str = ""
    ) -> Mapping[TopicPartition, int]:
        ours = frozenset(partitions)
        self.claims.append((source, ours))
        if not is_group(source):
            return {}
        self.descriptions |= {(source, tp): description for tp in ours}
        return {tp: self.next_offsets[source, tp] for tp in ours if (source, tp) in self.next_offsets}

    def progress(self) -> list[SourceProgress]:
        return [
            SourceProgress(
                source,
                "",
                {tp: offset for (whose, tp), offset in self.next_offsets.items() if whose == source},
                0,
                {tp: text for (whose, tp), text in self.descriptions.items() if whose == source},
            )
            for source in sorted({source for source, _ in self.claims})
        ]

    def lock(self, name: str) -> None:
        pass

    def staging(self, name: str) -> MemorySink:
        return self

    def promote(self, name: str) -> None:
        pass

    def read(self, event: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        yield pl.DataFrame(list(self.rows[event].values()))

    def counts(self) -> dict[str, int]:
        return {event: len(rows) for event, rows in self.rows.items()}

    def close(self) -> None:
        pass

    def event_ids(self) -> set[str]:
        with self._lock:
            return {event_id for rows in self.rows.values() for event_id in rows}


def event_id(number: int) -> str:
    return f"01890a5d-ac96-774b-bcce-{number:012x}"


def value_of(number: int) -> bytes:
    """Return the message of event ``number``; the kinds take turns."""
    event = EVENTS[number % len(EVENTS)]
    envelope = dataclasses.replace(ENVELOPE, event_id=event_id(number), sequence=number)
    return encode(catalog().latest(event.EVENT), record_of(event, envelope))


class World:
    """Broker, clock and sink, and what should come out of them."""

    def __init__(self, *, partitions: int = 2, dlq_max_bytes: int | None = None) -> None:
        self.clock = FakeClock()
        self.control = RunControl(clock=self.clock, random=LongestWaits())
        self.broker = InMemoryBroker(now_ms=self.clock.now_ms)
        self.sink = MemorySink()
        self.schemas = catalog()
        self.sent: dict[TopicPartition, list[str | None]] = {}
        self.gaps: set[tuple[TopicPartition, int]] = set()
        admin = self.broker.open_admin()
        admin.create_topic(TopicSpec(TOPIC, partitions))
        configs = () if dlq_max_bytes is None else (("max.message.bytes", str(dlq_max_bytes)),)
        admin.create_topic(TopicSpec(DLQ, 1, configs=configs))
        self._writer = self.broker.open_writer(max_record_bytes=64 * 1_048_576)
        self._numbers = itertools.count()
        self._states = itertools.count()
        self._members = itertools.count(1_000)
        self._latest: InstantReader | None = None
        self.partitions = [TopicPartition(TOPIC, number) for number in range(partitions)]

    def send_good(self, count: int, *, partition: int | None = None) -> list[str]:
        """Send events; return their ids."""
        ids = []
        for _ in range(count):
            number = next(self._numbers)
            ids.append(event_id(number))
            self._send(value_of(number), ids[-1], partition, ())
        return ids

    def send_framed(self, framing: Callable[[bytes], tuple[bytes, Headers]], count: int = 1) -> list[str]:
        """Send events, each framed anew; return their ids."""
        ids = []
        for number in itertools.islice(self._numbers, count):
            ids.append(event_id(number))
            value, headers = framing(value_of(number))
            self._send(value, ids[-1], None, headers)
        return ids

    def send_again(self, identity: str, *, partition: int | None = None) -> None:
        """Send an event that was sent before."""
        self._send(value_of(int(identity[-12:], 16)), identity, partition, ())

    def send_state(self, **fields: Any) -> None:
        """Send what the stream tells of itself."""
        state = {**STATE, "eventId": f"01890a5d-ac96-774b-bccf-{next(self._states):012x}", **fields}
        self._send(encode(catalog().latest("stream_state"), state), state["eventId"], None, ())

    def skip_event(self) -> None:
        """Use up the number of an event that is never sent."""
        next(self._numbers)

    def send_bad(
        self, value: bytes | None = b"not one of ours", *, partition: int | None = None, headers: Headers = ()
    ) -> None:
        self._send(value, None, partition, headers)

    def _send(self, value: bytes | None, identity: str | None, partition: int | None, headers: Headers) -> None:
        key = identity.encode() if identity is not None else b"bad"
        places: list[Delivery | None] = []

        def landed(delivery: Delivery | None, _error: TransportError | None) -> None:
            places.append(delivery)

        self._writer.send(OutgoingRecord(TOPIC, key, value, headers, partition=partition), landed)
        self._writer.flush(timeout_seconds=1)
        assert places[0] is not None
        self.sent.setdefault(TopicPartition(TOPIC, places[0].partition), []).append(identity)

    def reader(self, group: str | None = GROUP) -> InstantReader:
        reader = InstantReader(self.broker, group, self.clock, next(self._members))
        reader.before_commit = self.check_commit
        return reader

    def consumer(
        self,
        reader: InstantReader | None = None,
        settings: ConsumerSettings | None = None,
        on_change: OnChange | None = None,
        *,
        sink_thread: Executor | None = None,
        open_reader: Callable[[], RecordReader] | None = None,
    ) -> Consumer:
        """A consumer; the one before it has left its group by then. It writes on the thread that calls ``run``."""
        if self._latest is not None:
            self._latest.close()  # the group waits for its members
        self._latest = reader or self.reader()
        return Consumer(
            self._latest,
            self.sink,
            self.broker.open_writer(max_record_bytes=64 * 1_048_576),
            self.schemas,
            settings or ConsumerSettings(topic=TOPIC, group=GROUP),
            on_change=on_change,
            clock=self.clock,
            random=LongestWaits(),
            sink_thread=sink_thread or SameThread(),
            open_reader=open_reader,
        )

    def check_commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Assert that no offset is committed past a record that is neither in the sink nor a dead letter."""
        written = self.sink.event_ids()
        dead = set(map(source_of, self.dead_records())) | self.gaps
        for partition, offset in offsets.items():
            for number, identity in enumerate(self.sent.get(partition, [])[:offset]):
                assert identity in written or (partition, number) in dead, f"{partition} {number} is committed and lost"

    def dead_records(self) -> list[Record]:
        log = self.broker.log(TopicPartition(DLQ, 0))
        return [log.records[offset] for offset in sorted(log.records)]

    def committed(self) -> dict[TopicPartition, int]:
        return dict(self.broker.group(GROUP).committed)

    def all_committed(self) -> bool:
        """Tell if every record that was sent is committed."""
        committed = self.committed()
        return all(committed.get(partition, 0) >= self._last(partition) for partition in self.sent)

    def _last(self, partition: TopicPartition) -> int:
        """Return the offset after the last record that is there."""
        there = [place for place in range(len(self.sent[partition])) if (partition, place) not in self.gaps]
        return there[-1] + 1 if there else 0

    def accepted(self) -> set[str]:
        """Return the ids of all events that were sent."""
        return {identity for sent in self.sent.values() for identity in sent if identity is not None}


def header_texts(record: Record) -> dict[str, str]:
    return {name: (value or b"").decode() for name, value in record.headers if name.startswith("dlq.")}


def source_of(record: Record) -> tuple[TopicPartition, int]:
    """Return the partition and offset that a dead letter came from."""
    text = header_texts(record)
    partition = TopicPartition(text["dlq.source.topic"], int(text["dlq.source.partition"]))
    return partition, int(text["dlq.source.offset"])


def record(value: bytes | None, *, offset: int = 0, headers: Headers = ()) -> Record:
    return Record(TOPIC, 0, offset, 1_700_000_000_000, b"key", value, headers)


def records(values: Sequence[bytes | None]) -> list[Record]:
    return [record(value, offset=offset) for offset, value in enumerate(values)]
