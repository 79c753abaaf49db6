"""An archive replayed into a sink, in part, with an outage, and back onto a topic."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from flowise_telemetry_consumer import RecordFilter, ReplayRequest, SinkError, SinkUnavailableError, replay
from flowise_telemetry_consumer.archives.rejects import Reject
from flowise_telemetry_consumer.replay import copy_topic, replay_archive
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_consumer.sinks.port import Batch, Sink
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.errors import DeliveryTimeoutError
from flowise_telemetry_transport.types import TopicSpec
from tests.consumer.replay.archives import COPY, EVENTS, records, topic
from tests.consumer.sinks.batches import batch, sizes
from tests.consumer.world import TOPIC, MemorySink, StopWhen, World, event_id

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "flowise_telemetry")


@pytest.fixture
def world() -> World:
    made = World(partitions=2)
    made.send_good(EVENTS)
    made.broker.open_admin().create_topic(TopicSpec(COPY, 2))
    return made


@pytest.fixture(params=["delta", "sqlite", "duckdb"])
def archive(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> Sink:
    sink = open_sink(f"{request.param}:///{tmp_path / 'archive'}")
    replay(world.reader(None), sink, catalog(), TOPIC, control=world.control)
    sink.close()
    return open_sink(f"{request.param}:///{tmp_path / 'archive'}")


def test_an_archive_fills_a_sink_and_may_be_repeated(archive: Sink, world: World) -> None:
    target = MemorySink()
    result = replay_archive(archive, target, catalog(), control=world.control)
    assert result.discrepancies() == []
    assert (result.total, result.read, result.written) == (EVENTS, EVENTS, EVENTS)
    source = MemorySink()
    replay(world.reader(None), source, catalog(), TOPIC, control=world.control)
    assert target.rows == source.rows
    again = replay_archive(archive, target, catalog(), control=world.control)
    assert (again.written, sum(event.already_there for event in again.events.values())) == (0, EVENTS)


def test_an_archive_is_filtered_by_the_time_of_its_events(archive: Sink, world: World) -> None:
    target = MemorySink()
    tools = RecordFilter.of(catalog(), events=["tool_created"], to_ms=1_700_000_000_124)
    result = replay_archive(archive, target, catalog(), tools, control=world.control)
    assert (result.total, result.written) == (EVENTS // 6, EVENTS // 6)
    none = RecordFilter.of(catalog(), from_ms=1_700_000_000_124)
    result = replay_archive(archive, target, catalog(), none, control=world.control)
    assert (result.read, result.written, sum(event.filtered for event in result.events.values())) == (EVENTS, 0, EVENTS)


def test_a_sink_outage_is_waited_for_and_told_in_the_end(archive: Sink, world: World) -> None:
    target = MemorySink()
    target.failures = [SinkUnavailableError("gone fishing")] * 3
    assert replay_archive(archive, target, catalog(), control=world.control).incomplete is None
    target.failures = [SinkUnavailableError("gone fishing")] * 1_000
    result = replay_archive(archive, target, catalog(), control=world.control)
    assert (result.incomplete, result.discrepancies()) == ("the sink stayed unavailable: gone fishing", [])


def test_it_can_be_stopped(archive: Sink, world: World) -> None:
    result = replay_archive(
        archive, MemorySink(), catalog(), control=dataclasses.replace(world.control, stop=StopWhen(lambda: True))
    )
    assert result.incomplete == "stopped before the end"
    assert 0 < result.read < EVENTS


def test_an_archive_without_events_is_told(world: World, tmp_path: Path) -> None:
    with pytest.raises(SinkError):
        replay_archive(open_sink(f"sqlite:///{tmp_path / 'none.db'}"), MemorySink(), catalog(), control=world.control)
    empty = open_sink(f"sqlite:///{tmp_path / 'empty.db'}")
    empty.prepare(list(catalog()))
    with pytest.raises(SinkError, match="holds no events: name the place that a consumer wrote to"):
        replay_archive(empty, MemorySink(), catalog(), control=world.control)
    empty.close()


def test_an_archive_goes_back_onto_a_topic(archive: Sink, world: World) -> None:
    result = replay_archive(archive, topic(world), catalog(), control=world.control)
    assert (result.written, result.discrepancies()) == (EVENTS, [])
    # As the producer sent them: key, value and partition.
    sent = {(record.key, record.value, record.partition) for record in records(world, TOPIC)}
    assert {(record.key, record.value, record.partition) for record in records(world, COPY)} == sent
    assert {record.timestamp_ms for record in records(world, COPY)} == {1_700_000_000_123}


def test_only_the_records_that_failed_are_sent_again(archive: Sink, world: World) -> None:
    world.broker.fail_next_deliveries(DeliveryTimeoutError("slow"), count=7)
    copy_topic(world.reader(None), topic(world), catalog(), ReplayRequest(topic=TOPIC), control=world.control)
    assert len(records(world, COPY)) == EVENTS
    world.broker.fail_next_deliveries(DeliveryTimeoutError("slow"), count=7)
    assert replay_archive(archive, topic(world), catalog(), control=world.control).written == EVENTS
    assert len(records(world, COPY)) == 2 * EVENTS


SECRETS = ("Please summarise the mail of name@example.com", "password=hunter2", "build-host-7.example.com")


@pytest.mark.parametrize("kind", ["delta", "sqlite", "duckdb", "jsonl"])
def test_rows_of_an_archive_pass_every_constraint(kind: str, tmp_path: Path, world: World) -> None:
    """What an adopter brings, or somebody changed in the archive since it was written."""
    good, tools = batch(0), batch(0).frames["tool_created"]
    rows = [
        tools.with_columns(tool_name=pl.lit(SECRETS[0])),
        tools.with_columns(version=pl.lit(SECRETS[1])),
        tools.with_columns(sequence=pl.lit(-5, pl.Int64)),
        tools.with_columns(instance_id=pl.lit(SECRETS[2])),
    ]
    rows = rows[:3] if kind == "duckdb" else rows  # whose column takes nothing but ids
    ids = pl.Series([event_id(number) for number in range(100, 100 + len(rows))])
    bad = pl.concat(rows).with_columns(event_id=ids)
    source = open_sink(f"{kind}:///{tmp_path / 'archive'}")
    source.prepare(list(catalog()))
    source.write(good)
    source.write(Batch({"tool_created": bad}))
    source.close()
    target = MemorySink()
    rejects: list[Reject] = []
    source = open_sink(f"{kind}:///{tmp_path / 'archive'}")
    result = replay_archive(source, target, catalog(), control=world.control, on_rejects=rejects.extend)
    source.close()
    assert (result.discrepancies(), result.rejected, result.written) == ([], len(rows), sum(sizes(good).values()))
    assert dataclasses.asdict(result.events["tool_created"]) == {
        "total": None if kind == "jsonl" else 1 + len(rows),
        "read": 1 + len(rows),
        "written": 1,
        "already_there": 0,
        "filtered": 0,
        "rejected": len(rows),
        "erased": 0,
    }
    found = sorted((reject.event, reject.field, reject.rule) for reject in rejects)
    assert found == [
        *([("tool_created", "instanceId", "pattern")] if kind != "duckdb" else []),
        ("tool_created", "sequence", "minimum"),
        ("tool_created", "toolName", "pattern"),
        ("tool_created", "version", "pattern"),
    ]
    assert not any(secret in str(reject.to_json()) + str(reject) for reject in rejects for secret in SECRETS)


class Crumbs(MemorySink):
    """A sink that gives its rows one at a time, as an archive of many small files does."""

    def read(self, event: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        for given in self.batches:
            yield from given.frames[event].iter_slices(1)


def test_many_small_frames_are_written_together(world: World) -> None:
    source, target = Crumbs(), MemorySink()
    source.prepare(list(catalog()))
    source.write(batch(0, repeat=30))
    frames = source.batches[0].frames
    result = replay_archive(source, target, catalog(), control=world.control)
    assert (result.discrepancies(), len(target.batches)) == ([], len(frames))
