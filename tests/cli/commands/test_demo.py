"""``demo`` from end to end."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.cli.in_process import run_command
from tests.cli.operator import TOTALS


@pytest.mark.services
def test_the_demo_sends_writes_and_dead_letters(tmp_path: Path) -> None:
    done = run_command("demo", "--events", "500", folder=tmp_path, env={"DISABLE_FLOWISE_TELEMETRY": "true"})
    assert done.status == 0, done
    table = {line.split("  ")[0].strip(): line.split()[-3:] for line in done.stdout.splitlines()[1:8]}
    assert table["all"] == ["507", "500", "7"]
    connection = sqlite3.connect(tmp_path / ".demo" / "telemetry.db")
    counts = [connection.execute(f"select count(*) from {event}").fetchone()[0] for event in TOTALS]
    connection.close()
    assert sum(counts) == 500
    assert all(counts)
    assert not (tmp_path / "config").exists(), "the demo leaves nothing outside its folder"
