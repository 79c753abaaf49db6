"""The sink is the authority on what it holds: what a restored one has lost is read again."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from flowise_telemetry_consumer import BatchLimits, Consumer, ConsumerCounters, ConsumerSettings, replay
from flowise_telemetry_consumer.errors import SinkBehindError
from flowise_telemetry_consumer.monitoring.health import MAX_POLL_AGE_SECONDS, poll_age_seconds
from flowise_telemetry_consumer.service.claim import CommitNote
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.errors import BrokerUnavailableError
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.service.restored import KINDS, copy_of, drop
from tests.consumer.sinks.clickhouse_engine import Engine
from tests.consumer.sinks.roles import ClaimedSink, open_claimed, open_database
from tests.consumer.world import GROUP, TOPIC, InstantReader, LongestWaits, SameThread, StopWhen, World

pytestmark = pytest.mark.slow

WARNINGS = logging.WARNING
SETTINGS = ConsumerSettings(topic=TOPIC, group=GROUP, batch=BatchLimits(rows=50))


@pytest.fixture(
    params=[pytest.param(kind, marks=pytest.mark.services if kind == "postgresql" else ()) for kind in KINDS]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        made: str = request.getfixturevalue("new_postgres_url")
        return made
    if request.param == "clickhouse":
        engine: Engine = request.getfixturevalue("engine")
        return engine.database()
    return f"{request.param}:///{tmp_path / 'events'}"


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'events'}"


@pytest.fixture(autouse=True)
def _warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(WARNINGS, "flowise_telemetry")


class Run:
    """One consumer of a world into a sink of a URL."""

    def __init__(self, world: World, url: str) -> None:
        self.world = world
        self.sink: ClaimedSink = open_claimed(url)
        self.reader: InstantReader = world.reader()
        self.reader.before_commit = lambda offsets: None
        self.consumer = Consumer(
            self.reader,
            self.sink,
            world.broker.open_writer(),
            catalog(),
            SETTINGS,
            clock=world.clock,
            random=LongestWaits(),
            sink_thread=SameThread(),
        )

    def until(self, condition: Callable[[], bool]) -> ConsumerCounters:
        try:
            return self.consumer.run(StopWhen(condition))
        finally:
            self.reader.close()


def consume(world: World, url: str, *, until: Callable[[], bool] | None = None) -> ConsumerCounters:
    """Run a consumer until all that was sent is committed, and nothing is in hand."""
    run = Run(world, url)
    start = world.clock.now
    # Long enough for what is noticed only when the partitions are claimed.
    return run.until(until or (lambda: world.all_committed() and world.clock.now > start + 5))


@contextmanager
def opened(url: str) -> Iterator[ClaimedSink]:
    sink = open_claimed(url)
    try:
        yield sink
    finally:
        sink.close()


def ids_in(url: str) -> list[str]:
    with opened(url) as sink:
        return sorted(
            identity for event in catalog().events for frame in sink.read(event) for identity in frame["event_id"]
        )


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "reading" in record.getMessage()]


def test_a_database_that_is_set_back_while_nobody_reads_is_filled_again(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(partitions=1)
    world.send_good(100)
    consume(world, url)
    restore = copy_of(url)
    world.send_good(100)
    consume(world, url)
    assert not told(caplog)
    restore()
    counters = consume(world, url)
    assert ids_in(url) == sorted(world.accepted())
    kept = 0 if url.startswith("clickhouse") else 100  # its backups keep the events, and no progress
    assert (counters.written.total(), counters.duplicates.total(), counters.reread) == (100, 100 - kept, 200 - kept)
    (line,) = told(caplog)
    assert f"events[0] at {kept}, committed 200" in line
    assert f"reading {200 - kept} records again" in line
    world.send_good(100)
    again = consume(world, url)
    assert ids_in(url) == sorted(world.accepted())
    assert (again.written.total(), again.duplicates.total(), again.reread) == (100, 0, 0)
    assert len(told(caplog)) == 1


def test_a_database_that_is_set_back_under_a_consumer_is_filled_again(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(partitions=2)
    world.send_good(100)
    consume(world, url)
    run = Run(world, url)
    restores: list[Callable[[], None]] = []
    steps = iter(["copy", "send", "restore", "send", "end"])
    world.send_good(1)

    def between_turns() -> bool:
        if not world.all_committed():
            return False
        match next(steps):
            case "copy":
                run.sink.close()  # as a server does it with those that are connected
                restores.append(copy_of(url))
                return False
            case "send":
                world.send_good(100)
                return False
            case "restore":
                run.sink.close()
                restores[0]()
                return False
        return True

    counters = run.until(between_turns)
    assert ids_in(url) == sorted(world.accepted())
    assert counters.reread > 0
    assert told(caplog)


def test_a_sink_that_is_made_again_empty_gets_all_that_the_topic_has(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(partitions=2)
    world.send_good(100)
    consume(world, url)
    drop(url)
    counters = consume(world, url)
    assert ids_in(url) == sorted(world.accepted())
    assert counters.reread == 100
    (line,) = told(caplog)
    assert "the group wrote to another sink, or this one was made again" in line


def test_what_retention_has_removed_meanwhile_is_said(sqlite_url: str, caplog: pytest.LogCaptureFixture) -> None:
    world = World(partitions=1)
    world.send_good(100)
    consume(world, sqlite_url)
    restore = copy_of(sqlite_url)
    world.send_good(100)
    consume(world, sqlite_url)
    restore()
    world.broker.truncate(world.partitions[0], 170)
    counters = consume(world, sqlite_url)
    assert len(ids_in(sqlite_url)) == 130
    assert counters.reread == 30
    (line,) = told(caplog)
    assert "reading 30 records again; 70 more are gone, retention has removed them" in line


def test_a_group_without_a_row_goes_on_from_its_commit(sqlite_url: str, caplog: pytest.LogCaptureFixture) -> None:
    world = World(partitions=1)
    world.send_good(20)
    commit(world, {world.partitions[0]: 12})
    consume(world, sqlite_url)
    assert len(ids_in(sqlite_url)) == 8
    assert not told(caplog)


def test_reading_never_goes_forward_for_the_sink(sqlite_url: str, caplog: pytest.LogCaptureFixture) -> None:
    world = World(partitions=1)
    world.send_good(20)
    consume(world, sqlite_url)
    commit(world, {world.partitions[0]: 5})
    world.send_good(1)
    counters = consume(world, sqlite_url)
    assert (counters.written.total(), counters.duplicates.total()) == (1, 15)
    assert not told(caplog)


@pytest.mark.parametrize("value", [b"not one of ours", None], ids=["bytes", "tombstone"])
def test_dead_letters_and_gaps_at_the_end_are_nothing_that_a_sink_lacks(
    sqlite_url: str, value: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(partitions=1)
    world.send_good(5)
    consume(world, sqlite_url)
    for _ in range(3):
        world.send_bad(value)
    consume(world, sqlite_url)
    dead = len(world.dead_records())
    for _ in range(2):
        counters = consume(world, sqlite_url)
        assert (counters.reread, counters.consumed) == (0, 0)
    assert (len(world.dead_records()), told(caplog)) == (dead, [])


def test_a_partition_that_came_after_the_copy_is_read_from_its_beginning(sqlite_url: str) -> None:
    world = World(partitions=2)
    world.send_good(10, partition=0)
    consume(world, sqlite_url)
    restore = copy_of(sqlite_url)
    world.send_good(10, partition=1)
    consume(world, sqlite_url)
    restore()
    consume(world, sqlite_url)
    assert ids_in(sqlite_url) == sorted(world.accepted())


def test_a_topic_that_was_made_again_is_read_from_its_beginning(url: str, caplog: pytest.LogCaptureFixture) -> None:
    world = World(partitions=2)
    world.send_good(100)
    consume(world, url)
    before = world.accepted()
    world.broker.recreate(TOPIC)
    world.sent.clear()
    world.send_good(300)
    assert consume(world, url).recreated == 1
    assert ids_in(url) == sorted(before | world.accepted())
    assert any("was deleted and created again" in line for line in told(caplog))
    lines = len(told(caplog))
    world.send_good(1)
    again = consume(world, url)
    assert (again.reread, again.recreated) == (0, 0)
    assert len(told(caplog)) == lines


def test_a_topic_that_is_made_again_under_a_consumer_is_read_from_its_beginning(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(partitions=2)
    world.send_good(100)
    before: set[str] = set()

    def between_turns() -> bool:
        if not before and world.all_committed():
            before.update(world.accepted())
            world.broker.recreate(TOPIC)
            world.sent.clear()
            world.send_good(300)
        return bool(before) and len(ids_in(sqlite_url)) == 400

    counters = consume(world, sqlite_url, until=between_turns)
    assert ids_in(sqlite_url) == sorted(before | world.accepted())
    assert (counters.rebalances, counters.recreated) == (2, 1)
    assert any("was deleted and created again" in line for line in told(caplog))


def test_a_promotion_is_followed_by_what_the_new_tables_lack(url: str, caplog: pytest.LogCaptureFixture) -> None:
    world = World(partitions=2)
    world.send_good(100, partition=0)
    consume(world, url)
    staging = open_database(url).staging("next")
    replay(world.broker.open_reader(), staging, catalog(), TOPIC)
    staging.close()
    world.send_good(50, partition=0)
    world.send_good(3, partition=1)
    consume(world, url)
    live = open_database(url)
    live.prepare(catalog())
    live.promote("next")
    live.close()
    counters = consume(world, url)
    assert ids_in(url) == sorted(world.accepted())
    assert (counters.written.total(), counters.duplicates.total()) == (53, 0)
    assert "events[0] at 100, committed 150, events[1] at 0, committed 3" in told(caplog)[0]


def test_a_replay_does_not_write_over_what_its_sink_has_lost(sqlite_url: str) -> None:
    world = World(partitions=1)
    world.send_good(30)
    steps = iter([True])

    def lose(_result: object) -> None:
        if next(steps, False):
            with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as file, file:
                file.execute("UPDATE flowise_telemetry_progress SET next_offset = 4")

    with opened(sqlite_url) as sink:
        with pytest.raises(SinkBehindError, match=r"events\[0\] at 4, was at 10"):
            replay(world.broker.open_reader(), sink, catalog(), TOPIC, batch=BatchLimits(rows=10), on_report=lose)
        again = replay(world.broker.open_reader(), sink, catalog(), TOPIC)
    assert (again.resumed, again.complete) == (True, True)
    assert ids_in(sqlite_url) == sorted(world.accepted())


def test_progress_of_an_earlier_version_is_compared_with_the_commit(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    # It gave no text with its commits and no description with its claims.
    world = World(partitions=1)
    world.send_good(30)
    with opened(sqlite_url) as sink:
        sink.prepare(catalog())
        consume(world, sqlite_url)
        sink.claim(GROUP, world.partitions)
    world.broker.group(GROUP).metadata.clear()
    assert consume(world, sqlite_url).reread == 0
    restore = copy_of(sqlite_url)
    world.send_good(30)
    consume(world, sqlite_url)
    world.broker.group(GROUP).metadata.clear()
    restore()
    consume(world, sqlite_url)
    assert ids_in(sqlite_url) == sorted(world.accepted())
    assert "events[0] at 30, committed 60" in told(caplog)[-1]


def test_a_sink_that_keeps_nothing_of_its_claims_is_taken_at_kafkas_word() -> None:
    world = World(partitions=1)
    world.send_good(30)
    world.consumer().run(StopWhen(world.all_committed))
    world.sink.next_offsets.clear()
    world.sink.descriptions.clear()
    world.send_good(1)
    counters = world.consumer().run(StopWhen(world.all_committed))
    assert (counters.reread, counters.consumed) == (0, 1)


def commit(world: World, offsets: dict[TopicPartition, int]) -> None:
    """Commit as another program does."""
    reader = world.broker.open_reader(group=GROUP)
    reader.assign(offsets)
    reader.commit(offsets, timeout_seconds=1)
    reader.close()


@pytest.mark.parametrize("text", ["", "{}", "[]", "1", '{"sink": 3, "held": 1}', '{"sink": "a", "held": "1"}', "a: b"])
def test_the_text_of_another_program_is_no_note(text: str) -> None:
    assert CommitNote.of(text) is None
    assert CommitNote.of(CommitNote("a", None).text()) == CommitNote("a", None)
    assert CommitNote.of(CommitNote("a", 7).text()) == CommitNote("a", 7)


def test_brokers_that_leave_look_ups_unanswered_keep_the_consumer_alive(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No poll while it asks what a claim is compared with, for far less time than it may be silent; nor a busy wait."""
    world = World(partitions=1)
    world.send_good(100)
    run = Run(world, sqlite_url)
    ages: list[float] = []

    def unanswered(*_: object, timeout_seconds: float = 40.0) -> NoReturn:
        world.clock.now += timeout_seconds
        raise BrokerUnavailableError("no answer")

    def answered_late(*_: object, timeout_seconds: float = 0.0) -> str:
        world.clock.now += timeout_seconds  # 0: it is asked for the metrics, by another thread of a real consumer
        return "an id"

    monkeypatch.setattr(run.reader, "topic_id", answered_late)
    with monkeypatch.context() as silent:
        silent.setattr(run.reader, "commits", unanswered)

        def some_outages() -> bool:
            ages.append(poll_age_seconds(run.consumer.counters, world.clock))
            if run.consumer.counters.retries == 3:
                silent.undo()
            return world.all_committed()

        counters = run.until(some_outages)
    assert max(ages) < MAX_POLL_AGE_SECONDS / 2
    assert (counters.retries, counters.written.total()) == (3, 100)
