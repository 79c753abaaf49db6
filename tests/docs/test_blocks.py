"""Every other block of README and documentation is run or read here, run by another test, or excused."""

from __future__ import annotations

import json
import os
import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not worth a dependency

from flowise_telemetry import Telemetry
from flowise_telemetry.testing import TelemetryRecorder
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_schemas import catalog
from tests.docs.blocks import ROOT, Block, blocks
from tests.docs.excuses import ELSEWHERE, NOT_RUN

OF_A_SHELL = frozenset({"", "bash", "console", "sh", "text"})
READ = {"json": json.loads, "toml": tomllib.loads, "yaml": yaml.safe_load, "yml": yaml.safe_load}
KNOWN = OF_A_SHELL | {"js", "python", "sql", *READ}
ID = "0b7ac60e-51a4-4bb5-a6a5-f1ae0fd1cf8f"
GIVEN: dict[str, dict[str, Any]] = {"docs/producer/README.md": {"tool": SimpleNamespace(id=ID, name="get_weather")}}
"""Names that the snippets of a page take from the reader's own app."""


def listed(block: Block) -> str | None:
    """The test or the reason that a list names for the block."""
    for (page, beginning), why in {**ELSEWHERE, **NOT_RUN}.items():
        if block.page == page and block.name[1].startswith(beginning):
            return why
    return None


def of(*languages: str) -> list[Block]:
    return [block for block in blocks() if block.language in languages]


def snippets() -> list[Block]:
    """Python that runs here."""
    return [block for block in of("python") if listed(block) is None]


def test_every_language_is_known() -> None:
    assert [f"{block.where}: {block.language}" for block in blocks() if block.language not in KNOWN] == []


@pytest.mark.parametrize("block", snippets(), ids=lambda block: block.where)
def test_python_runs_as_it_stands(block: Block, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # where no .env lies
    here = {
        "PATH": os.environ["PATH"],
        "FLOWISE_TELEMETRY_DEBUG": "1",
        "FLOWISE_TELEMETRY_CONFIG_DIR": str(tmp_path),
    }
    monkeypatch.setattr(os, "environ", here)
    names: dict[str, Any] = {"__name__": "snippet", **GIVEN.get(block.page, {})}
    exec(compile(block.text, block.where, "exec"), names)
    try:
        for name in [name for name in names if name.startswith("test_")]:
            with TelemetryRecorder() as recorder:
                names["make_tool"] = lambda called, telemetry: telemetry.send_telemetry(_tool(called))
                names[name](recorder)
    finally:
        for value in [value for value in names.values() if isinstance(value, Telemetry)]:
            value.close(timeout_seconds=5.0)


def _tool(name: str) -> Any:
    from flowise_telemetry import ToolCreated

    return ToolCreated(tool_id=ID, tool_name=name)


def test_python_that_is_not_run_is_python() -> None:
    for block in of("python"):
        compile(block.text, block.where, "exec")


def test_data_can_be_read() -> None:
    for block in of(*READ):
        assert READ[block.language](block.text), block.where


def test_queries_of_the_events_run(tmp_path: Path) -> None:
    sink = open_sink(f"sqlite:///{tmp_path}/events.db")
    sink.prepare(list(catalog()))
    sink.close()
    queries = [block for block in of("sql") if block.page.startswith("docs/events/")]
    assert queries
    with closing(sqlite3.connect(tmp_path / "events.db")) as db:
        for block in queries:
            db.executescript(block.text)


def test_every_other_block_is_run_elsewhere_or_excused() -> None:
    left = [block for block in of("sql", "js") if not block.page.startswith("docs/events/")]
    assert [block.where for block in left if listed(block) is None] == [], (
        "name the test that runs it, or the reason why none does, in tests/docs/excuses.py"
    )


def test_no_list_has_an_entry_too_many() -> None:
    used = {
        (page, beginning)
        for page, beginning in [*ELSEWHERE, *NOT_RUN]
        for block in blocks()
        if block.page == page and block.name[1].startswith(beginning)
    }
    assert {*ELSEWHERE, *NOT_RUN} - used == set()
    assert [test for test in ELSEWHERE.values() if not (ROOT / test).is_file()] == []
