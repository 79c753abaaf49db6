"""The commands one after the other, as an operator would run them."""

from __future__ import annotations

import json
import signal
import sqlite3
import uuid
from contextlib import closing

import pytest

from tests.cli.operator import LINES, TOTALS, Operator, wait_until


@pytest.mark.real_broker
def test_what_was_sent_is_consumed_replayed_and_its_dead_letters_listed(operator: Operator) -> None:
    operator.environ["FLOWISE_TELEMETRY_TOPIC"] = f"test-{uuid.uuid4().hex}"
    operator.run("topics", "create")
    sent = operator.run("send", stdin=LINES)
    assert (sent.status, sent.stdout) == (0, "sent 6, rejected 0, undelivered 0\n")

    service = operator.start("consume", "--sink", "sqlite:///live.db", "--json")
    wait_until((operator.folder / "live.db").exists)
    wait_until(lambda: _or_none(operator, "live.db") == TOTALS)
    wait_until(lambda: _states(operator, "live.db") == 1)
    service.send_signal(signal.SIGTERM)
    stdout, stderr = service.communicate(timeout=60)
    assert service.returncode == 0, stderr
    assert json.loads(stdout) == {
        "consumed": 7, "written": TOTALS, "duplicates": {}, "erased": {}, "control": {"stream_state": 1}, "dead": {},
        "expired": 0,
    }  # fmt: skip

    replayed = operator.run("replay", "--sink", "sqlite:///copy.db", "--json")
    document = json.loads(replayed.stdout)
    assert (replayed.status, document["complete"], document["written"]) == (0, True, {**TOTALS, "stream_state": 1})
    assert sum(part["end"] for part in document["partitions"].values()) == 7
    assert operator.rows("copy.db") == TOTALS

    again = operator.run("replay", "--sink", "sqlite:///copy.db")
    assert again.status == 0
    assert operator.rows("copy.db") == TOTALS

    letters = operator.run("dlq", "list")
    assert (letters.status, letters.stdout) == (0, "")
    assert "0 dead letters in " in letters.stderr


def _states(operator: Operator, database: str) -> int:
    with closing(sqlite3.connect(operator.folder / database)) as connection:
        count: int = connection.execute("SELECT count(*) FROM stream_state").fetchone()[0]
    return count


def _or_none(operator: Operator, database: str) -> dict[str, int] | None:
    try:
        return operator.rows(database)
    except sqlite3.OperationalError:
        return None
