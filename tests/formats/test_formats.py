"""What earlier versions left on disk can still be opened. A folder a version, made by ``tests.formats.make`` on it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flowise_telemetry import Limits, Telemetry
from flowise_telemetry.consent.status import status
from flowise_telemetry.identity.instance_id import InstanceId, find_secret
from flowise_telemetry.ledger import read_ledger
from flowise_telemetry_consumer import (
    BatchLimits,
    Consumer,
    ConsumerSettings,
    ReplayRequest,
    list_dead_letters,
    list_runs,
    redrive,
    replay,
)
from flowise_telemetry_consumer.sinks.sqlite import open_sqlite
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import InMemoryBroker
from tests.consumer.world import StopWhen
from tests.formats.conftest import VERSIONS
from tests.formats.make import DLQ, EVENT_COUNT, GROUP, SPOOLED, TOPIC
from tests.producer.samples import stored, wait_until


def test_there_is_a_folder_for_the_first_version() -> None:
    assert "0.1.0" in VERSIONS


def test_rows_and_progress_of_a_sqlite_sink(kept: Path) -> None:
    sink = open_sqlite(f"sqlite:///{kept / 'sink.sqlite'}")
    sink.prepare(list(catalog()))
    assert sum(sink.counts().values()) == EVENT_COUNT
    assert sum(frame.height for event in catalog().events for frame in sink.read(event)) == EVENT_COUNT
    (group,) = sink.progress()
    assert group.source == GROUP
    assert sum(group.next_offsets.values()) == EVENT_COUNT + 3
    sink.close()


@pytest.mark.parametrize("lost", [0, 2])
def test_a_consumer_goes_on_from_the_progress_of_a_sqlite_sink(kept: Path, broker: InMemoryBroker, lost: int) -> None:
    sink = open_sqlite(f"sqlite:///{kept / 'sink.sqlite'}")
    (group,) = sink.progress()
    sink.close()
    broker.group(GROUP).committed.update(group.next_offsets)
    with closing(sqlite3.connect(kept / "sink.sqlite")) as file, file:
        file.execute("UPDATE flowise_telemetry_progress SET next_offset = next_offset - ?", [lost])
    settings = ConsumerSettings(topic=TOPIC, group=GROUP, batch=BatchLimits(age_seconds=0.01), poll_seconds=0.01)
    consumer = Consumer(broker.open_reader(group=GROUP), sink, broker.open_writer(), catalog(), settings)
    wanted, turns = lost * len(group.next_offsets), iter(range(20))
    counters = consumer.run(StopWhen(lambda: consumer.counters.consumed >= wanted and next(turns, None) is None))
    assert (counters.reread, counters.consumed, counters.written.total()) == (wanted, wanted, 0)


def test_an_unfinished_replay_resumes(kept: Path, broker: InMemoryBroker) -> None:
    sink = open_sqlite(f"sqlite:///{kept / 'sink.sqlite'}").staging("rebuilt")
    (run,) = list_runs(sink)
    assert not run.finished
    reader = broker.open_reader()
    reader.topic_id = lambda topic, **_: None  # type: ignore[method-assign]  # this broker's topic has an id of its own
    result = replay(reader, sink, catalog(), ReplayRequest(topic=TOPIC), run_id=run.id)
    assert result.resumed
    assert result.run == run.id
    assert sum(sink.counts().values()) == EVENT_COUNT
    sink.close()


def test_dead_letters_are_listed_and_redriven(kept: Path, broker: InMemoryBroker) -> None:
    listed = list_dead_letters(broker.open_reader(), DLQ)
    assert listed.by_reason == {"unknown_framing": 1, "unknown_fingerprint": 1, "tombstone": 1}
    sink = open_sqlite(f"sqlite:///{kept / 'sink.sqlite'}")
    result = redrive(broker.open_reader(), sink, broker.open_writer(), catalog(), DLQ, group=GROUP)
    assert (result.written.total(), result.still_bad.total()) == (0, 3)
    sink.close()


def test_a_spool_is_recovered(kept: Path) -> None:
    there = InMemoryBroker()
    telemetry = Telemetry(
        app_version="3.0.1",
        environ={"FLOWISE_TELEMETRY_CONFIG_DIR": str(kept / "config")},
        writer_factory=there.open_writer,
        spool_dir=kept / "spool",
        limits=Limits(max_age_seconds=1e10),
    )
    wait_until(lambda: telemetry.stats().sent == SPOOLED)
    assert [record["toolName"] for record in stored(there)] == [f"tool_{number}" for number in range(SPOOLED)]
    telemetry.close()


def test_a_ledger_is_read(kept: Path) -> None:
    entries = list(read_ledger(kept / "ledger.jsonl"))
    assert len(entries) == EVENT_COUNT
    assert {entry.event for entry in entries} == set(catalog().events)


def test_an_opt_out_is_obeyed_and_an_installation_keeps_its_id(kept: Path) -> None:
    assert not status(environ={"FLOWISE_TELEMETRY_CONFIG_DIR": str(kept / "opted-out")}).enabled
    secret = find_secret({"FLOWISE_TELEMETRY_CONFIG_DIR": str(kept / "config")})
    assert secret is not None
    (first, *_) = read_ledger(kept / "ledger.jsonl")
    assert InstanceId(secret).at(first.sent_at_ms) == first.record["instanceId"]
