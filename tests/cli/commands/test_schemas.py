from __future__ import annotations

import json
import shutil
from pathlib import Path

from flowise_telemetry_schemas import catalog
from tests.cli.in_process import run_command

AVSC = Path(__file__).parents[3] / "schemas" / "flowise_telemetry_schemas" / "avro"


def test_list_names_every_schema(tmp_path: Path) -> None:
    shown = run_command("schemas", "list", "--json", folder=tmp_path).stdout.splitlines()
    assert {(row["event"], row["fingerprint"]) for row in map(json.loads, shown)} == {
        (schema.event, schema.fingerprint_hex) for schema in catalog()
    }
    assert run_command("schemas", "list", folder=tmp_path).stdout.count("\n") == 7


def test_show_tells_every_field_its_purpose_and_bound(tmp_path: Path) -> None:
    shown = run_command("schemas", "show", "prediction_sent", folder=tmp_path).stdout
    assert "flowGraph.edges[].source" in shown
    assert "Tells which integrations are used together." in shown
    source = json.loads(run_command("schemas", "show", "prediction_sent", "--json", folder=tmp_path).stdout)
    assert source == catalog().latest("prediction_sent").source


def test_check_reports_problems_and_fails(tmp_path: Path) -> None:
    shutil.copytree(AVSC, tmp_path / "avro")
    assert run_command("schemas", "check", "avro", folder=tmp_path).status == 0
    file = tmp_path / "avro" / "tool_created" / "v1.avsc"
    file.write_text(file.read_text().replace('"maxLength": 64', '"maxLenght": 64'))
    done = run_command("schemas", "check", "avro", folder=tmp_path)
    assert done.status == 1
    assert "tool_created v1: toolName: unknown keyword maxLenght" in done.stdout
    assert "tool_created v1: toolName: a string needs maxLength" in done.stdout
