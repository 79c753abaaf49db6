"""An upgrade by the steps of docs/guides/upgrade.md, from what a version kept: its consumer, and its apps' records.

The consumer of before is the one of now with the schemas of before: it is the formats that are old, and what it knows.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from flowise_telemetry import Limits, Telemetry
from flowise_telemetry_consumer import (
    BatchLimits,
    Consumer,
    ConsumerCounters,
    ConsumerSettings,
    list_dead_letters,
    redrive,
)
from flowise_telemetry_consumer.sinks.sqlite import open_sqlite
from flowise_telemetry_schemas import Catalog, catalog, codec
from flowise_telemetry_transport import InMemoryBroker, OutgoingRecord
from tests.consumer.world import event_id
from tests.formats.make import DLQ, EVENT_COUNT, GROUP, SPOOLED, TOPIC
from tests.producer.samples import stored_records, wait_until
from tests.schemas.records import EVENTS

KEPT_BAD = {"unknown_framing": 1, "unknown_fingerprint": 1, "tombstone": 1}


@dataclass(frozen=True, slots=True)
class Installation:
    """A topic and a sink in use. ``records`` are the events of a version, ``before`` the schemas that it knew."""

    kept: Path
    broker: InMemoryBroker
    records: tuple[bytes, ...]
    before: Catalog

    @contextmanager
    def consumer(self, schemas: Catalog) -> Iterator[ConsumerCounters]:
        """Run a member of the group until the end of the context; what it has in hand is written and committed."""
        reader, stop = self.broker.open_reader(group=GROUP), threading.Event()
        settings = ConsumerSettings(topic=TOPIC, group=GROUP, batch=BatchLimits(age_seconds=0.01), poll_seconds=0.01)
        sink = open_sqlite(self.sink_url)
        member = Consumer(reader, sink, self.broker.open_writer(), schemas, settings)
        thread = threading.Thread(target=member.run, args=(stop,))
        thread.start()
        try:
            yield member.counters
        finally:
            stop.set()
            thread.join()
            reader.close()
        assert member.counters.left == 0

    @property
    def sink_url(self) -> str:
        return f"sqlite:///{self.kept / 'sink.sqlite'}"

    def old_app(self, first: int) -> None:
        """Send what an app of before sends: its records once more, with ids from ``first`` on."""
        writer = self.broker.open_writer()
        for number, record in enumerate(self.records, start=first):
            schema, fields = codec.decode(record, self.before)
            fields["eventId"] = event_id(number)
            value = codec.encode(schema, fields)
            partition = number % 2  # whoever has which, both get some
            writer.send(OutgoingRecord(TOPIC, fields["eventId"].encode(), value, partition=partition), _accepted)
        writer.flush(timeout_seconds=1.0)

    def new_app(self, *, spool: Path | None = None) -> None:
        """Send one of each event, and what the spool has, as an app of now does."""
        telemetry = Telemetry(
            app_version="3.0.1",
            environ={"FLOWISE_TELEMETRY_CONFIG_DIR": str(self.kept / "config")},
            writer_factory=self.broker.open_writer,
            spool_dir=spool,
            limits=Limits(max_age_seconds=1e10),
        )
        for event in EVENTS:
            telemetry.send_telemetry(event)
        recovered = SPOOLED if spool else 0
        wait_until(lambda: telemetry.stats().sent == len(EVENTS) + recovered)
        telemetry.close()

    def all_committed(self) -> bool:
        ends = {tp: self.broker.log(tp).end for tp in self.broker.group(GROUP).committed}
        return ends == self.broker.group(GROUP).committed

    def rows(self) -> dict[str, int]:
        sink = open_sqlite(self.sink_url)
        sink.prepare(list(catalog()))
        ids = {text for event in catalog().events for frame in sink.read(event) for text in frame["event_id"]}
        counts = {event: sink.counts().get(event, 0) for event in catalog().events}
        sink.close()
        assert sum(counts.values()) == len(ids), "an event is there twice"
        return counts

    def dead(self) -> dict[str, int]:
        return dict(list_dead_letters(self.broker.open_reader(), DLQ).by_reason)


def _accepted(_delivery: object, error: object) -> None:
    assert error is None


@pytest.fixture
def installation(kept: Path, broker: InMemoryBroker) -> Installation:
    sink = open_sqlite(f"sqlite:///{kept / 'sink.sqlite'}")
    (group,) = sink.progress()
    sink.close()
    broker.group(GROUP).committed.update(group.next_offsets)
    values = [record.value or b"" for record in stored_records(broker)]
    known = {value[2:10] for value in values}
    before = Catalog(tuple(schema for schema in catalog() if schema.fingerprint in known))
    assert len(tuple(before)) < len(tuple(catalog()))
    records = tuple(value for value in values if before.by_fingerprint(value[2:10]) is not None)
    assert len(records) == EVENT_COUNT
    return Installation(kept, broker, records, before)


def test_consumers_one_after_the_other_and_then_apps(installation: Installation) -> None:
    with ExitStack() as before, ExitStack() as now:
        old = before.enter_context(installation.consumer(installation.before))
        wait_until(lambda: len(old.assigned) == 2)
        installation.old_app(1_000)
        wait_until(installation.all_committed)
        new = now.enter_context(installation.consumer(catalog()))
        wait_until(lambda: len(old.assigned) == len(new.assigned) == 1)
        installation.old_app(2_000)
        wait_until(installation.all_committed)
        assert old.written.total() > EVENT_COUNT
        assert new.written.total() > 0
        before.close()
        wait_until(lambda: len(new.assigned) == 2)
        installation.old_app(3_000)
        installation.new_app(spool=installation.kept / "spool")
        wait_until(installation.all_committed)
        assert new.control["stream_state"] > 0
    assert installation.dead() == KEPT_BAD
    assert sum(installation.rows().values()) == 4 * EVENT_COUNT + len(EVENTS) + SPOOLED
    assert set(installation.rows().values()) & {0} == set()


def test_an_app_that_was_quicker_waits_as_dead_letters(installation: Installation) -> None:
    with installation.consumer(installation.before) as old:
        wait_until(lambda: len(old.assigned) == 2)
        installation.new_app()
        wait_until(installation.all_committed)
    waiting = installation.dead()["unknown_fingerprint"] - KEPT_BAD["unknown_fingerprint"]
    assert waiting > 0
    with installation.consumer(catalog()) as new:
        wait_until(lambda: len(new.assigned) == 2)
        installation.old_app(1_000)
        wait_until(installation.all_committed)
    sink = open_sqlite(installation.sink_url)
    done = redrive(
        installation.broker.open_reader(), sink, installation.broker.open_writer(), catalog(), DLQ, group=GROUP
    )
    sink.close()
    assert (done.written.total(), done.still_bad.total()) == (waiting, sum(KEPT_BAD.values()))
    assert installation.dead() == KEPT_BAD
    assert sum(installation.rows().values()) == 2 * EVENT_COUNT + len(EVENTS)
