"""``tail``: records as they arrive, in memory; and in a process of each client, ended by a signal or a closed pipe."""

from __future__ import annotations

import json
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_consumer.replay.filters import RecordFilter
from flowise_telemetry_consumer.replay.following import follow
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.types import TopicPartition
from tests.cli.in_process import run_command
from tests.cli.operator import LINES, Operator
from tests.cli.program import Finished
from tests.consumer.world import TOPIC, StopWhen, World
from tests.schemas.records import ENVELOPE, EVENTS

TERMINAL = b"\x1b[31mred\x07"


@pytest.fixture
def world() -> World:
    """Six events on one partition, then a record that is none."""
    made = World(partitions=1)
    made.send_good(len(EVENTS))
    made.send_bad(TERMINAL)
    return made


def tail(world: World, folder: Path, *arguments: str) -> Finished:
    environ = {"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "nowhere:1", "FLOWISE_TELEMETRY_TOPIC": TOPIC}
    invocation = Invocation(open_reader=lambda settings: world.reader(None), clock=world.clock)
    return run_command("tail", *arguments, folder=folder, env=environ, invocation=invocation)


def lines(done: Finished) -> list[dict[str, Any]]:
    assert done.status == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_record_is_a_line_in_its_place(world: World, tmp_path: Path) -> None:
    *events, bad = lines(tail(world, tmp_path, "--from-beginning", "-n", "7", "--json"))
    assert [line["event"] for line in events] == [event.EVENT for event in EVENTS]
    assert [line["offset"] for line in events] == list(range(len(EVENTS)))
    assert {line["properties"]["instanceId"] for line in events} == {ENVELOPE.instance_id}
    assert events[1]["properties"]["flowGraph"]["nodes"][0] == "chatOpenAI_0"
    assert (bad["offset"], bad["bad"]["reason"], bad["bad"]["stage"]) == (6, "unknown_framing", "decode")


def test_lines_for_people_are_short_and_cannot_control_the_terminal(world: World, tmp_path: Path) -> None:
    done = tail(world, tmp_path, "--from-beginning", "-n", "7")
    _, created, *_, bad = done.stdout.splitlines()
    assert created.startswith("2023-11-14T22:13:20.123Z [0]@1 chatflow_created 3.0.1 instanceId=")
    assert created.endswith("flowGraph=nodes:3,edges:2")
    assert bad.startswith("2023-11-14T22:13:20Z [0]@6 not an event: unknown_framing: ")
    assert "\x1b" not in done.stdout
    assert done.errors == ["events: 1 partition from the beginning on; Ctrl-C ends this"]


@pytest.mark.parametrize(
    ("chosen", "events"),
    [
        (("--event", "tool_created"), ["tool_created", None]),  # a record of no schema may be one
        (("--event", "vector_upserted", "--instance", ENVELOPE.instance_id), ["vector_upserted"] * 2),
        (("--app-version", "2.2.7-patch.1", "--since", "2023-11-14"), ["prediction_sent"]),
    ],
)
def test_filters_are_those_of_a_replay(
    world: World, chosen: tuple[str, ...], events: list[str | None], tmp_path: Path
) -> None:
    begin = () if "--since" in chosen else ("--from-beginning",)
    found = lines(tail(world, tmp_path, "--json", *begin, *chosen, "-n", str(len(events))))
    assert [line.get("event") for line in found] == events


def test_what_fits_no_filter_is_passed_over(world: World) -> None:
    nobody = RecordFilter.of(catalog(), where=[("streamId", "00000000-0000-4000-8000-000000000000")])
    reader = world.reader(None)
    stop = StopWhen(lambda: reader.polls > 2)
    batches = follow(reader, catalog(), {TopicPartition(TOPIC, 0): 0}, nobody, stop=stop, clock=world.clock)
    assert list(batches) == [[], [], []]


def test_now_is_after_all_that_is_there(world: World, tmp_path: Path) -> None:
    reader = world.reader(None)
    stop = StopWhen(lambda: reader.polls > 1)
    batches = follow(reader, catalog(), {TopicPartition(TOPIC, 0): 7}, RecordFilter(), stop=stop, clock=world.clock)
    assert next(batches) == []
    world.send_good(1)
    ((followed,),) = batches
    assert followed.record.offset == 7


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "1h", "--from-beginning"), "--since and --from-beginning exclude each other"),
        (("--since", "1200"), "--since: '1200' is not a time"),
        (("--event", "nothing"), "--event: there is no event nothing"),
    ],
)
def test_misuse_is_told(world: World, arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = tail(world, tmp_path, *arguments)
    assert done.status == 2
    assert said in done.stderr


@pytest.mark.slow  # two processes a client, and a broker
@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_a_process_follows_until_a_signal_or_the_end_of_its_reader(operator: Operator, client: str) -> None:
    assert operator.run("send", stdin=LINES).status == 0  # which makes the topic
    names = sorted({event.EVENT for event in EVENTS})  # what the stream of send tells may arrive among them
    chosen = [word for name in names for word in ("--event", name)]
    with ExitStack() as opened:
        following, reading = (
            opened.enter_context(operator.start("tail", *its, "--client", client))
            for its in (["--json", *chosen], ["--from-beginning"])
        )
        for process in (following, reading):
            opened.callback(process.kill)
        assert following.stdout is not None
        assert following.stderr is not None
        assert reading.stdout is not None
        assert " from now on" in following.stderr.readline()
        reading.stdout.readline()
        reading.stdout.close()
        assert operator.run("send", stdin=LINES).status == 0
        sent = [json.loads(following.stdout.readline())["event"] for _ in EVENTS]
        assert sorted(sent) == sorted(event.EVENT for event in EVENTS)
        following.send_signal(signal.SIGTERM)
        assert (following.wait(60), reading.wait(60)) == (0, 0)
        assert following.stderr.read() == ""
