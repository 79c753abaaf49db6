from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import yaml  # type: ignore[import-untyped]  # its stubs are not worth a dependency

from flowise_telemetry_consumer.decoding.frames import polars_schema
from flowise_telemetry_schemas import catalog
from tests.cli.in_process import run_command
from tests.consumer.sinks.batches import batch
from tests.consumer.sinks.roles import open_readable

PAGES = Path(__file__).parents[3] / "docs" / "events"


def test_markdown_is_the_page_of_the_documentation(tmp_path: Path) -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == set(catalog().names)
    for event in catalog().names:
        shown = run_command("schemas", "docs", "--event", event, folder=tmp_path).stdout
        assert shown == (PAGES / f"{event}.md").read_text(encoding="utf-8")
    page = (PAGES / "assistant_created.md").read_text(encoding="utf-8")
    assert "| question | Are assistants used" in page
    assert "assistantType: added; OTHER in older records |" in page


def test_json_has_the_same_for_programs(tmp_path: Path) -> None:
    shown = run_command("schemas", "docs", "--format", "json", folder=tmp_path).stdout.splitlines()
    documents = {document["event"]: document for document in map(json.loads, shown)}
    assert set(documents) == set(catalog().names)
    for event, document in documents.items():
        columns = [field["column"] for field in document["fields"] if field["column"]]
        assert columns == list(polars_schema(catalog().latest(event)))
        assert document["question"].endswith("?")
        assert [each["version"] for each in document["history"]] == list(range(1, len(document["history"]) + 1))


def test_dbt_sources_name_every_column_and_test_what_is_promised(tmp_path: Path) -> None:
    text = run_command("schemas", "docs", "--format", "dbt", folder=tmp_path).stdout
    (source,) = yaml.safe_load(text)["sources"]
    tables = {table["name"]: table for table in source["tables"]}
    assert set(tables) == set(catalog().names)
    for event, table in tables.items():
        assert [column["name"] for column in table["columns"]] == list(polars_schema(catalog().latest(event)))
        assert all(column["description"] for column in table["columns"])
    columns = {column["name"]: column.get("data_tests") for column in tables["vector_upserted"]["columns"]}
    assert columns["event_id"] == ["unique", "not_null"]
    assert columns["stop_node_id"] is None
    assert columns["type"][1]["accepted_values"]["values"][-1] == "OTHER"


def test_the_queries_of_the_pages_run_and_count_every_event(tmp_path: Path) -> None:
    sink = open_readable(f"sqlite:///{tmp_path}/events.db")
    sink.prepare(catalog())
    sink.write(batch())
    counts = sink.counts()
    sink.close()
    shown = run_command("schemas", "docs", "--format", "json", folder=tmp_path).stdout.splitlines()
    db = sqlite3.connect(tmp_path / "events.db")
    for document in map(json.loads, shown):
        for query in document["queries"]:
            assert sum(row[1] for row in db.execute(query)) == counts[document["event"]], query
    db.close()
