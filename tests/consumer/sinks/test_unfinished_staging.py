"""Staging tables that no replay has filled to its end, on every sink that can have such tables."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from flowise_telemetry_consumer import BatchLimits, ReplayRequest, Shard
from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.replay import (
    advance_run,
    begin_archive,
    finish_archive,
    open_run,
    replay_archive,
    require_finished,
)
from flowise_telemetry_schemas import catalog
from tests.consumer.replay.copies import KilledError, let_die
from tests.consumer.sinks.batches import batch
from tests.consumer.sinks.roles import open_database
from tests.consumer.world import TOPIC, World

ALL = ReplayRequest(topic=TOPIC)


class Staging:
    """Staging tables in a sink, which replays fill."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.world = World(partitions=4)
        for partition in range(4):
            self.world.send_good(20, partition=partition)

    def fill(self, shard: Shard | None = None, *, die_after_batches: int | None = None, restart: bool = False) -> None:
        with closing(open_database(self.url)) as live, closing(live.staging("next")) as sink:
            sink.prepare(list(catalog()))
            reader, world = self.world.reader(None), self.world
            run = open_run(reader, sink, ALL, clock=world.clock, shard=shard, restart=restart)
            if die_after_batches is not None:
                let_die(sink, die_after_batches)
            advance_run(reader, sink, catalog(), run, batch=BatchLimits(rows=10), control=world.control)

    def refusal(self) -> str | None:
        with closing(open_database(self.url)) as live, closing(live.staging("next")) as sink:
            try:
                require_finished(sink)
            except SinkError as error:
                return error.message if error.argument == "force" else "about another argument"
        return None


@pytest.fixture
def staging(database_url: str) -> Staging:
    return Staging(database_url)


def killed(run: Callable[[], object]) -> None:
    with pytest.raises(KilledError):
        run()


def test_a_killed_replay_is_unfinished_until_it_is_resumed(staging: Staging) -> None:
    killed(lambda: staging.fill(die_after_batches=2))
    refused = staging.refusal()
    assert refused is not None
    assert "has read 20 of 80 offsets" in refused
    staging.fill()
    assert staging.refusal() is None
    # It catches up before it is promoted, and is killed on the way.
    killed(lambda: staging.fill(die_after_batches=1, restart=True))
    assert "has read 10 of 80 offsets" in str(staging.refusal())


def test_every_shard_has_to_be_there(staging: Staging) -> None:
    staging.fill(Shard(1, 3))
    assert "shards 2, 3 of 3 of replay" in str(staging.refusal())
    staging.fill(Shard(2, 3))
    killed(lambda: staging.fill(Shard(3, 3), die_after_batches=1))
    assert "shard 3/3 of replay" in str(staging.refusal())
    staging.fill(Shard(3, 3))
    assert staging.refusal() is None


def test_a_replay_that_never_wrote_is_unfinished(staging: Staging) -> None:
    killed(lambda: staging.fill(die_after_batches=0))
    assert "has read 0 of 80 offsets" in str(staging.refusal())


def test_tables_that_nobody_filled_are_unfinished(database_url: str) -> None:
    staging = Staging(database_url)
    with closing(open_database(database_url)) as live, closing(live.staging("next")) as sink:
        sink.prepare(list(catalog()))
    assert "it holds no events" in str(staging.refusal())


def test_a_replay_from_an_archive_is_unfinished_until_all_rows_are_there(staging: Staging, tmp_path: Path) -> None:
    archive = open_database(f"sqlite:///{tmp_path}/archive")
    archive.prepare(list(catalog()))
    archive.write(batch())
    for die in (True, False):
        with closing(open_database(staging.url)) as live, closing(live.staging("next")) as sink:
            sink.prepare(list(catalog()))
            begin_archive(sink, archive.url)
            if die:
                let_die(sink, 1)
                killed(lambda: replay_archive(archive, sink, catalog()))
            else:
                replay_archive(archive, sink, catalog())
                finish_archive(sink, archive.url)
        refused = f"the replay of {archive.url} did not reach its end; finish it first, or promote it as it is"
        assert staging.refusal() == (f"{sink.url} is unfinished: {refused}" if die else None)
    archive.close()
