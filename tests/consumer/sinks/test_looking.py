"""A sink that is looked at before it is written to: what is wrong is named, and nothing is made."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from flowise_telemetry_consumer.sinks import kind, looking, registry
from flowise_telemetry_consumer.sinks.looking import look_at_sink
from flowise_telemetry_schemas import catalog
from tests.consumer.sinks.batches import batch
from tests.consumer.sinks.roles import open_readable

FILES = {"sqlite": "events.db", "duckdb": "events.duckdb", "jsonl": "events.jsonl", "delta": "lake"}


@pytest.fixture(params=FILES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """The scheme of a sink in local files, and where it may be."""
    scheme = str(request.param)
    return scheme, tmp_path / FILES[scheme]


def look(url: str) -> dict[str, tuple[str, str]]:
    return {each.name: (each.state, each.line) for each in look_at_sink(url, list(catalog()))}


def test_a_place_that_is_free_stays_so(place: tuple[str, Path]) -> None:
    scheme, path = place
    found = look(f"{scheme}:///{path}")
    assert {state for state, _ in found.values()} <= {"ok", "warning"}  # the disk of the tests may be small
    assert "is made at the first start" in found["sink: right"][1]
    assert list(path.parent.iterdir()) == []


def test_one_that_has_events_is_read(place: tuple[str, Path]) -> None:
    scheme, path = place
    url = f"{scheme}:///{path}"
    sink = open_readable(url)
    sink.prepare(catalog())
    sink.write(batch(3))
    sink.close()
    before = sorted(path.parent.rglob("*"))
    found = look(url)
    assert found["sink: right"] == ("ok", f"{url} may be written")
    if scheme in ("sqlite", "duckdb"):
        assert found["sink"][0] == "ok"
    assert sorted(path.parent.rglob("*")) == before


def test_a_folder_that_is_not_there_and_a_wrong_kind(place: tuple[str, Path]) -> None:
    scheme, path = place
    assert "make the folder" in look(f"{scheme}:///{path.parent}/missing/{path.name}")["sink"][1]
    if scheme == "delta":
        path.write_text("a file")
        assert "it is no folder, name one" in look(f"{scheme}:///{path}")["sink"][1]
    else:
        path.mkdir()
        assert "it is a folder, name a file" in look(f"{scheme}:///{path}")["sink"][1]


def test_what_may_not_be_written(place: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    scheme, path = place
    may = os.access

    def access(file: str | Path, mode: int) -> bool:
        return may(file, mode) and not (Path(file) == path.parent and mode & os.W_OK)

    monkeypatch.setattr(os, "access", access)  # the tests may run as root, who may write everywhere
    state, line = look(f"{scheme}:///{path}")["sink: right"]
    assert (state, line) == ("failed", f"{path.parent} may not be written by this user: give it the rights")


@pytest.mark.parametrize(("free", "state"), [(1_000, "failed"), (500_000_000, "warning"), (2**40, "ok")])
def test_room(free: int, state: str, place: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    scheme, path = place
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert look(f"{scheme}:///{path}")["sink: disk"][0] == state


@pytest.mark.parametrize("scheme", ["sqlite", "duckdb"])
def test_a_file_that_is_no_database(scheme: str, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("no database" * 500)
    state, line = look(f"{scheme}:///{tmp_path}/notes")["sink"]
    assert (state, "name another file" in line) == ("failed", True)


def test_an_engine_in_this_process_is_not_started(tmp_path: Path) -> None:
    found = look(f"clickhouse:///{tmp_path}/engine")
    assert "is made at the first start" in found["sink: right"][1]
    assert list(tmp_path.iterdir()) == []


def test_standard_output_and_what_is_no_url() -> None:
    assert look("jsonl:-") == {"sink": ("ok", "standard output")}
    assert "not the URL of a sink" in look("mysql://host/database")["sink"][1]


def test_a_kind_that_cannot_be_looked_at_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite = registry.sink_kind("sqlite:///x")
    other = kind.SinkKind(scheme="other", open=sqlite.open, example="other:", writers="one")
    monkeypatch.setattr(looking, "sink_kind", lambda url: other)
    url = f"sqlite:///{tmp_path}/events.db"
    sink = open_readable(url)
    sink.prepare(catalog())
    sink.close()
    found = look(url)
    assert found["sink"] == ("ok", f"{url} can be read, and knows 0 sources")
    assert found["sink: right"][0] == "not tried"
