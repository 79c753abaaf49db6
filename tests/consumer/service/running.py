"""A topic on a real broker, what was sent to it, and consumers of it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from flowise_telemetry_consumer import (
    BatchLimits,
    Consumer,
    ConsumerCounters,
    ConsumerSettings,
    open_dead_letter_writer,
)
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import Record, TopicPartition, open_reader, open_writer
from flowise_telemetry_transport.types import Delivery, Headers, OutgoingRecord
from tests.consumer.sinks.roles import ClaimedSink, open_claimed
from tests.consumer.world import event_id, value_of
from tests.services.kafka import KafkaService

_WAIT_SECONDS = 60.0
_LOOK_SECONDS = 0.02


class Service:
    """One topic with its dead-letter topic, one group, one sink URL."""

    def __init__(
        self, kafka: KafkaService, sink_url: str, *, topic: str, dlq: str, client: str = "kafka-python", **options: str
    ) -> None:
        self.kafka = kafka
        self.sink_url = sink_url
        self.client = client
        self.options = options
        self.topic = topic
        self.dlq = dlq
        self.group = kafka.new_group()
        self.accepted: set[str] = set()
        self.ends: dict[TopicPartition, int] = {}
        self.sink: ClaimedSink = open_claimed(sink_url)
        self.sink.prepare(catalog())

    def send(self, numbers: Sequence[int], bad: Sequence[tuple[bytes | None, Headers]] = ()) -> None:
        """Send events, and bad values among them."""
        writer = open_writer(self.kafka.settings(), max_record_bytes=4 * 1_048_576)
        records: list[OutgoingRecord] = []
        for number in numbers:
            self.accepted.add(event_id(number))
            records.append(OutgoingRecord(self.topic, event_id(number).encode(), value_of(number)))
        for index, (value, headers) in enumerate(bad):
            spot = (index + 1) * len(records) // (len(bad) + 1)
            records.insert(spot, OutgoingRecord(self.topic, b"bad", value, headers))
        for record in records:
            writer.send(record, self._landed)
        assert writer.flush(timeout_seconds=30) == 0
        writer.close(timeout_seconds=10)

    def _landed(self, delivery: Delivery | None, error: Exception | None) -> None:
        assert delivery is not None, error
        tp = TopicPartition(delivery.topic, delivery.partition)
        self.ends[tp] = max(self.ends.get(tp, 0), delivery.offset + 1)

    def settings(self, rows: int) -> ConsumerSettings:
        return ConsumerSettings(
            topic=self.topic,
            dead_letter_topic=self.dlq,
            group=self.group,
            batch=BatchLimits(rows=rows),
            retry_initial_seconds=0.05,
            retry_max_seconds=0.2,
        )

    @contextlib.contextmanager
    def consumer(self, *, rows: int = 1_000, url: str | None = None) -> Iterator[ConsumerCounters]:
        """A consumer on a thread of its own, stopped in the end; what it raised is raised there."""
        stop = threading.Event()
        failures: list[BaseException] = []
        settings = self.kafka.settings(session_timeout_seconds=6.0, client=self.client, options=self.options)
        writer = open_dead_letter_writer(settings)
        reader = open_reader(settings, group=self.group)
        sinks: list[ClaimedSink] = []
        ready: list[Consumer] = []
        made = threading.Event()

        def work() -> None:
            try:
                # A sink belongs to the thread that uses it.
                sinks.append(open_claimed(url or self.sink_url))
                ready.append(Consumer(reader, sinks[0], writer, catalog(), self.settings(rows)))
                made.set()
                ready[0].run(stop)
            except BaseException as error:
                failures.append(error)
            finally:
                made.set()
                for sink in sinks:
                    sink.close()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            made.wait()
            yield ready[0].counters
        finally:
            stop.set()
            thread.join(_WAIT_SECONDS)
            reader.close()
            writer.close(timeout_seconds=5)
        if failures:
            raise failures[0]

    def process(self) -> subprocess.Popen[str]:
        """A consumer in a process of its own; prints a line after every batch."""
        servers = ",".join(self.kafka.bootstrap_servers)
        arguments = [servers, self.client, self.topic, self.group, self.sink_url]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.consumer.service.service_process", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )

    def all_written(self) -> bool:
        return sum(self.sink.counts().values()) >= len(self.accepted)

    def event_ids(self) -> list[str]:
        return [
            identity
            for event in catalog().events
            for frame in self.sink.read(event)
            for identity in frame["event_id"].to_list()
        ]

    def committed(self) -> dict[TopicPartition, int | None]:
        reader = open_reader(self.kafka.settings(), group=self.group)
        try:
            return reader.committed(list(self.ends))
        finally:
            reader.close()

    def dead_records(self) -> list[Record]:
        reader = open_reader(self.kafka.settings())
        try:
            partitions = reader.partitions_of(self.dlq)
            ends = reader.end_offsets(partitions)
            reader.assign(dict.fromkeys(partitions, 0))
            found: list[Record] = []
            deadline = time.monotonic() + _WAIT_SECONDS
            while any(reader.position(tp) < end for tp, end in ends.items()):
                assert time.monotonic() < deadline
                found += reader.poll(timeout_seconds=0.2, max_records=1_000)
            return found
        finally:
            reader.close()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll until the condition holds; fail with ``what`` after a minute."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"this did not come: {what}"
        time.sleep(_LOOK_SECONDS)
