"""``send``: bad lines are named, and the good ones are sent."""

from __future__ import annotations

import json
import uuid

from tests.cli.operator import LINES, Operator


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
