"""``log``: what was sent, and where it landed."""

from __future__ import annotations

import json

from tests.cli.operator import LINES, Operator


def test_the_ledger_shows_what_was_sent_and_where_it_landed(operator: Operator) -> None:
    operator.environ["FLOWISE_TELEMETRY_LOG"] = "ledger"
    assert operator.run("log").errors == ["error: ledger cannot be read: no such ledger"]
    operator.run("send", stdin=LINES)
    shown = operator.run("log", "--json", "--last", "3")
    entries = [json.loads(line) for line in shown.stdout.splitlines()]
    assert len(entries) == 3
    assert {entry["topic"] for entry in entries} == {operator.environ["FLOWISE_TELEMETRY_TOPIC"]}
    assert all(entry["record"]["eventId"] == entry["event_id"] for entry in entries)
    assert operator.run("log").stdout.count("\n") == 7, "six events, and what the stream tells of itself"
