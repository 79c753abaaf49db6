"""The recipes of docs/sinks.md for whoever reads the files: each is run as it is written there."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import deltalake
import duckdb
import polars
import polars as pl
import pytest

from flowise_telemetry_consumer.decoding.frames import frame_of
from flowise_telemetry_consumer.export import export_events
from flowise_telemetry_consumer.sinks.port import Batch
from flowise_telemetry_schemas import catalog
from tests.consumer.sinks.batches import NEW_FIELDS, batch, envelope, sizes, with_second_version
from tests.consumer.sinks.roles import open_readable
from tests.schemas.records import EVENTS, record_of

GUIDE = (Path(__file__).parents[3] / "docs" / "sinks.md").read_text(encoding="utf-8")
DELTA = GUIDE[GUIDE.index("## Delta") : GUIDE.index("### On object storage")]
FILES = GUIDE[GUIDE.index("## Plain files") : GUIDE.index("## Removing old events")]

DAY = datetime.date(2023, 11, 14)
PREDICTIONS = sizes(batch(repeat=3))["prediction_sent"]


def blocks(section: str, language: str) -> list[str]:
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return found


def statements(section: str, language: str) -> list[str]:
    """The recipes of a language: those of Python by an empty line between them, those of SQL by a semicolon."""
    end = "\n\n" if language == "python" else ";"
    return [it.strip() for block in blocks(section, language) for it in block.split(end) if it.strip()]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which ``events`` is a lake and ``files`` holds two exports."""
    with closing(open_readable(f"delta:///{tmp_path / 'events'}")) as sink:
        sink.prepare(catalog())
        sink.write(batch(repeat=3))
        (tmp_path / "files").mkdir()
        export_events(sink, tmp_path / "files" / "events", catalog())
        export_events(sink, tmp_path / "files" / "tools", catalog(), events=["tool_created"], file_format="csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(code: str) -> Any:
    """The value of a recipe's last expression."""
    names: dict[str, Any] = {
        "polars": polars,
        "deltalake": deltalake,
        "duckdb": duckdb,
        "pandas": import_module("pandas"),
    }
    *before, last = re.split(r"\n(?=\S)(?!\))", code)
    for line in before:
        exec(line, names)
    return eval(last, names)


READERS: dict[str, Callable[[Any], object]] = {
    "polars": lambda found: found.rows(),
    "to_pandas": lambda found: [(*key, count) for key, count in found.to_dict().items()],
    "duckdb": lambda found: found,
    "QueryBuilder": lambda found: pl.DataFrame(found).rows(),
}


@pytest.mark.parametrize("reader", READERS)
def test_tables_are_read_as_the_guide_says(folder: Path, reader: str) -> None:
    (recipe,) = [it for it in statements(DELTA, "python") if reader in it]
    assert READERS[reader](run(recipe)) == [(DAY, "EXTERNAL", PREDICTIONS)]


@pytest.mark.parametrize("reader", READERS)
def test_a_column_that_older_files_lack_is_shown(folder: Path, reader: str, tmp_path: Path) -> None:
    newer = with_second_version(tmp_path / "avro", "prediction_sent")
    added = {field["name"]: field["default"] for field in NEW_FIELDS} | {"nodeCount": 3}
    with closing(open_readable(f"delta:///{folder / 'events'}")) as sink:
        sink.prepare([newer])
        sink.write(Batch({"prediction_sent": frame_of(newer, [{**record_of(EVENTS[2], envelope(99)), **added}])}))
    (recipe,) = [it for it in statements(DELTA, "python") if reader in it]
    by_column = recipe.replace('"type"', '"node_count"').replace(" type", " node_count")
    counts = {count: rows for _, count, rows in READERS[reader](run(by_column))}  # type: ignore[attr-defined]  # rows
    # pandas leaves groups of nulls out.
    assert counts in ({3: 1, None: PREDICTIONS}, {3: 1})


@pytest.mark.slow  # the extension is loaded from DuckDB's own server, where there is a way to it
def test_duckdb_reads_tables_by_its_extension(folder: Path, request: pytest.FixtureRequest) -> None:
    with duckdb.connect() as connection:
        try:
            connection.execute("INSTALL delta; LOAD delta")
        except duckdb.Error:
            reason = "DuckDB's extension delta cannot be had here"
            request.applymarker(pytest.mark.xfail(reason=reason, raises=duckdb.Error, strict=True))
            raise
        by_day, by_node = statements(DELTA, "sql")
        assert connection.execute(by_day).fetchall() == [(DAY, "EXTERNAL", PREDICTIONS)]
        assert connection.execute(by_node).fetchall()


@pytest.mark.slow
def test_files_are_read_as_the_guide_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder / "files")
    by_polars, by_pandas = (line.split("  #")[0] for line in blocks(FILES, "python")[0].splitlines())
    assert run(by_polars).select(pl.len()).collect().item() == len(run(by_pandas)) == PREDICTIONS
    of_parquet, of_csv = statements(FILES, "sql")
    assert duckdb.execute(of_parquet).fetchall() == [(DAY, "EXTERNAL", PREDICTIONS)]
    assert duckdb.execute(of_csv).fetchall() == [(DAY, sizes(batch(repeat=3))["tool_created"])]
