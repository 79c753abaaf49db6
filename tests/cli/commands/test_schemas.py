from __future__ import annotations

import json
import shutil
from pathlib import Path

from flowise_telemetry_schemas import catalog
from tests.cli.program import program

AVSC = Path(__file__).parents[3] / "schemas" / "flowise_telemetry_schemas" / "avro"


def test_list_names_every_schema(tmp_path: Path) -> None:
    shown = program("schemas", "list", "--json", folder=tmp_path).stdout.splitlines()
    assert {(row["event"], row["fingerprint"]) for row in map(json.loads, shown)} == {
        (schema.event, schema.fingerprint_hex) for schema in catalog()
    }
    assert program("schemas", "list", folder=tmp_path).stdout.count("\n") == 6


def test_show_tells_every_field_its_purpose_and_bound(tmp_path: Path) -> None:
    shown = program("schemas", "show", "prediction_sent", folder=tmp_path).stdout
    assert "flowGraph.edges[].source" in shown
    assert "Tells which integrations are used together." in shown
    source = json.loads(program("schemas", "show", "prediction_sent", "--json", folder=tmp_path).stdout)
    assert source == catalog().latest("prediction_sent").source


def test_check_reports_problems_and_fails(tmp_path: Path) -> None:
    shutil.copytree(AVSC, tmp_path / "avro")
    assert program("schemas", "check", "avro", folder=tmp_path).status == 0
    file = tmp_path / "avro" / "tool_created" / "v1.avsc"
    file.write_text(file.read_text().replace('"maxLength": 64', '"maxLenght": 64'))
    done = program("schemas", "check", "avro", folder=tmp_path)
    assert done.status == 1
    assert "tool_created v1: toolName: unknown keyword maxLenght" in done.stdout
    assert "tool_created v1: toolName: a string needs maxLength" in done.stdout


def test_preview_shows_the_bytes_and_the_purpose(tmp_path: Path) -> None:
    shown = [json.loads(line) for line in program("preview", "--json", folder=tmp_path).stdout.splitlines()]
    assert [document["event"] for document in shown] == list(catalog().events)
    for document in shown:
        assert document["value"].startswith("c301")
        assert set(document["record"]) <= set(document["purposes"])
        assert all(document["purposes"].values())


def test_status_names_what_decided(tmp_path: Path) -> None:
    def shown(**variables: str) -> dict[str, object]:
        document: dict[str, object] = json.loads(program("status", "--json", folder=tmp_path, env=variables).stdout)
        return document

    assert shown()["decided_by"] == "the default"
    off = shown(DISABLE_FLOWISE_TELEMETRY="true")
    assert (off["enabled"], off["decided_by"]) == (False, "DISABLE_FLOWISE_TELEMETRY in the environment")
    assert program("disable", folder=tmp_path).status == 0
    assert shown()["decided_by"] == "the stored choice (flowise-telemetry disable)"
    enabled = program("enable", folder=tmp_path, env={"DO_NOT_TRACK": "1"})
    assert "off all the same: DO_NOT_TRACK in the environment" in enabled.stderr
    assert shown()["enabled"] is True
