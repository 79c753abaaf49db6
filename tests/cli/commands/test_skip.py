"""``skip``: a deliberate jump forward, which a consumer does not undo."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_transport.settings import KafkaSettings
from tests.cli.in_process import run_command
from tests.consumer.service.test_held_offsets import commit, consume, ids_in
from tests.consumer.world import GROUP, TOPIC, InstantReader, World


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/a.db"


def run(world: World, url: str, *arguments: str) -> tuple[int, list[dict[str, int]], str]:
    def reader_of(_settings: KafkaSettings, *, group: str | None = None) -> InstantReader:
        reader = world.reader(group)
        reader.before_commit = lambda offsets: None
        return reader

    done = run_command(
        *("skip", "--sink", url, "--topic", TOPIC, "--group", GROUP, "--json", *arguments),
        folder=Path(url.removeprefix("sqlite:///")).parent,
        env={"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "127.0.0.1:1"},
        invocation=Invocation(open_reader=reader_of),
    )
    return done.status, json.loads(done.stdout)["left_out"] if done.stdout else [], done.errors[-1]


def test_a_group_goes_on_behind_what_it_leaves_out(url: str) -> None:
    world = World(partitions=2)
    world.send_good(10, partition=0)
    world.send_good(10, partition=1)
    consume(world, url)
    world.send_good(30, partition=0)
    world.send_good(30, partition=1)
    jump = [{"partition": 1, "from": 10, "to": 25}]
    for _ in range(2):
        assert run(world, url, "--to", "25", "--partition", "1", "--dry-run")[:2] == (0, jump)
    assert run(world, url, "--to", "25", "--partition", "1")[:2] == (0, jump)
    counters = consume(world, url)
    assert (counters.reread, len(ids_in(url))) == (0, 65)
    world.send_good(5, partition=0)
    assert run(world, url, "--to", "end")[1] == [{"partition": 0, "from": 40, "to": 45}]
    world.send_good(1, partition=0)
    assert consume(world, url).written.total() == 1


def test_a_jump_of_another_tool_is_undone_unless_it_is_confirmed(url: str) -> None:
    world = World(partitions=1)
    world.send_good(10)
    consume(world, url)
    world.send_good(30)
    commit(world, {world.partitions[0]: 35})
    assert run(world, url, "--to", "committed")[1] == [{"partition": 0, "from": 10, "to": 35}]
    assert consume(world, url).written.total() == 5
    world.send_good(10)
    commit(world, {world.partitions[0]: 50})
    assert consume(world, url).written.total() == 10


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--to", "99"), "ends at offset 10, before 99"),
        (("--to", "now"), "is no offset"),
        (("--to", "1", "--partition", "7"), "no partition 7"),
    ],
)
def test_what_is_no_target_is_refused(url: str, arguments: tuple[str, ...], said: str) -> None:
    world = World(partitions=1)
    world.send_good(10)
    consume(world, url)
    status, _, told = run(world, url, *arguments)
    assert (status, said in told) == (2, True), told
