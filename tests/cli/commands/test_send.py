"""``send``: bad lines are named, and the good ones are sent."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from flowise_telemetry import Telemetry
from flowise_telemetry_cli.commands.send import FLUSH_TIMEOUT_SECONDS, flush_while_it_helps
from flowise_telemetry_transport.topics import EVENTS_TOPIC
from tests.cli.in_process import run_command
from tests.cli.operator import LINES, Operator
from tests.transport.gateway.server import KEY, GatewayServer, serving


def test_a_bad_line_is_named_a_bad_value_withheld_and_the_good_ones_are_sent(operator: Operator) -> None:
    good = LINES.splitlines()
    tool = json.loads(good[3])
    tool["properties"]["toolName"] = "what is the capital of France"
    graph = json.loads(good[2])
    graph["properties"]["flowGraph"]["edges"][1]["source"] = "My secret label"
    lines = [
        good[0],
        json.dumps(tool).encode(),
        b"{not json",
        b"",
        json.dumps(graph).encode(),
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"event": "tool_created", "properties": {"toolName": NaN, "toolId": "x", "version": "3.0.1"}}',
        json.dumps({**tool, "properties": tool["properties"] | {"version": "main"}}).encode(),
        good[1],
    ]
    done = operator.run("send", stdin=b"\n".join(lines))
    assert (done.status, done.stdout) == (1, "sent 4, rejected 5, undelivered 0, withheld 2\n")
    assert [line.partition(" must match")[0] for line in done.errors] == [
        "line 3: not JSON at column 2",
        "line 6: not JSON",
        "line 7: not JSON",
        "line 8: tool_created: toolId:",
        "line 9: tool_created: version: is no version, such as 3.0.1, 3.0.1rc1 or v3.0.1-rc.1",
        "withheld 1: tool_created.toolName: not_a_name",
        "withheld 1: prediction_sent.flowGraph.edges.source: unknown_type",
    ]
    assert "capital" not in done.stderr
    assert "label" not in done.stderr


def test_a_line_without_a_version_needs_the_option(operator: Operator) -> None:
    line = b'{"event": "tool_created", "properties": {"toolName": "a", "toolId": "%s"}}' % str(uuid.uuid4()).encode()
    refused = operator.run("send", stdin=line)
    assert (refused.status, refused.errors) == (
        1,
        ["line 1: tool_created: version: is missing (or give --app-version)"],
    )
    sent = operator.run("send", "--app-version", "3.0.1", "--json", stdin=line)
    assert (sent.status, json.loads(sent.stdout)) == (0, {"sent": 1, "rejected": 0, "undelivered": 0})


def test_a_line_of_many_megabytes_is_refused_and_the_next_one_is_sent(operator: Operator) -> None:
    done = operator.run("send", stdin=b'{"event": "' + b"x" * 5_000_000 + b'"}\n' + LINES)
    assert (done.status, done.errors) == (1, ["line 1: longer than 1048576 bytes"])
    assert done.stdout == "sent 6, rejected 1, undelivered 0\n"


def test_off_sends_nothing_and_says_so(operator: Operator) -> None:
    done = operator.run("send", stdin=LINES, DO_NOT_TRACK="1")
    assert (done.status, done.stdout) == (3, "")
    assert done.errors == ["error: telemetry is off (DO_NOT_TRACK in the environment): nothing was sent"]


class _Refused:
    """A producer whose deliveries fail, in a way that waiting mends or does not; its flush takes its time."""

    def __init__(self, *, lasts: bool) -> None:
        self.lasts = lasts
        self.now = 0.0

    def flush(self, *, timeout_seconds: float) -> bool:
        self.now += timeout_seconds
        return False

    def stats(self) -> SimpleNamespace:
        return SimpleNamespace(error_lasts=self.lasts)


@pytest.mark.parametrize(("lasts", "seconds"), [(False, FLUSH_TIMEOUT_SECONDS), (True, 3.5)])
def test_it_waits_only_for_what_may_be_mended_by_that(lasts: bool, seconds: float) -> None:
    telemetry = _Refused(lasts=lasts)
    assert flush_while_it_helps(cast("Telemetry", telemetry), lambda: telemetry.now) is not lasts
    assert telemetry.now == seconds


def test_an_endpoint_takes_the_events_where_the_environment_names_no_servers(tmp_path: Path) -> None:
    with serving(GatewayServer(topic=EVENTS_TOPIC)) as gateway:
        env = {"FLOWISE_TELEMETRY_ENDPOINT": gateway.url, "FLOWISE_TELEMETRY_PROJECT_KEY": KEY}
        done = run_command("send", folder=tmp_path, stdin=LINES, env=env)
        assert (done.status, done.stdout, done.stderr) == (
            0,
            f"sent {len(LINES.splitlines())}, rejected 0, undelivered 0\n",
            "",
        )
        assert len(gateway.stored()) > len(LINES.splitlines())  # and what the stream tells of itself
        wrong = run_command("send", folder=tmp_path, stdin=LINES, env={**env, "FLOWISE_TELEMETRY_PROJECT_KEY": "wrong"})
    assert wrong.status == 1
    assert len(wrong.errors) == 1
    assert "project key" in wrong.stderr
    gone = run_command("send", folder=tmp_path, stdin=LINES, env=env)
    assert gone.status == 1
    assert len(gone.errors) == 1
