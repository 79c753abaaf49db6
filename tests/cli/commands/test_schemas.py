from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from flowise_telemetry_schemas import Catalog, catalog
from flowise_telemetry_schemas.codec import decode, encode
from flowise_telemetry_schemas.disclosure import disclosure
from flowise_telemetry_schemas.envelope import ENVELOPE_FIELDS
from flowise_telemetry_schemas.generate import event_classes
from tests.cli.in_process import run_command
from tests.schemas.records import ENVELOPE

AVSC = Path(__file__).parents[3] / "schemas" / "flowise_telemetry_schemas" / "avro"


def test_list_names_every_schema(tmp_path: Path) -> None:
    shown = run_command("schemas", "list", "--json", folder=tmp_path).stdout.splitlines()
    assert {(row["event"], row["fingerprint"]) for row in map(json.loads, shown)} == {
        (schema.event, schema.fingerprint_hex) for schema in catalog()
    }
    assert run_command("schemas", "list", folder=tmp_path).stdout.count("\n") == 1 + len(list(catalog()))


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


def test_diff_tells_in_words_what_changed_and_who_is_upgraded_first(tmp_path: Path) -> None:
    done = run_command("schemas", "diff", "assistant_created", "v1", "v2", folder=tmp_path)
    assert done.status == 0
    assert done.stdout.startswith(
        "assistant_created v1 -> v2\n  assistantType: added; OTHER in older records\n\nUpgrade consumers first"
    )
    assert run_command("schemas", "diff", "assistant_created", folder=tmp_path).stdout == done.stdout
    document = json.loads(run_command("schemas", "diff", "assistant_created", "1", "--json", folder=tmp_path).stdout)
    change = {"path": "assistantType", "change": "added; OTHER in older records", "breaks": None}
    assert document == {
        "event": "assistant_created", "old": 1, "new": 2, "changes": [change], "upgrade_first": "consumers",
    }  # fmt: skip


def test_diff_of_two_files_fails_for_a_change_that_costs_older_records(tmp_path: Path) -> None:
    shutil.copytree(AVSC / "tool_created", tmp_path / "tool_created")
    source = json.loads((tmp_path / "tool_created" / "v1.avsc").read_text())
    source["fields"][4]["type"]["minimum"] = 1
    (tmp_path / "tool_created" / "v2.avsc").write_text(json.dumps(source))
    done = run_command("schemas", "diff", "tool_created/v1.avsc", "tool_created/v2.avsc", folder=tmp_path)
    assert done.status == 1
    assert "sequence: minimum was 0 and is 1. Not allowed: a narrower minimum makes valid older" in done.stdout
    assert "both have the fingerprint" in done.stdout
    assert done.stdout.endswith("v2 may not be released after v1.\n")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("assistant_created", "v2", "v1"), 2, "give an older and a newer version of assistant_created"),
        (("assistant_created", "newest"), 2, "a version is a number, such as v2"),
        (("assistant_created", "v1", "v9"), 1, "assistant_created has no version 9; the latest is 2"),
        (("stream_state",), 1, "stream_state has one version"),
        (("old.avsc",), 2, "give two schema files, the older one first"),
        (("old.avsc", "new.avsc"), 1, "old.avsc cannot be read: No such file"),
    ],
)
def test_diff_says_what_it_cannot_compare(tmp_path: Path, arguments: tuple[str, ...], status: int, said: str) -> None:
    done = run_command("schemas", "diff", *arguments, folder=tmp_path)
    assert (done.status, said in done.stderr) == (status, True), done.stderr


def fill_in(terms: Path, expires: str = "2031-05-01") -> None:
    text = terms.read_text().replace('""', '"given"')
    terms.write_text(text.replace('expires = "given"', f"expires = {expires}"))


def test_check_warns_of_what_expires_and_refuses_what_has(tmp_path: Path) -> None:
    run_command("schemas", "new", "flow_shared", ".", folder=tmp_path)
    fill_in(tmp_path / "flow_shared" / "event.toml")
    for today, status, said in (
        ("2030-01-01", 0, ""),
        ("2031-04-20", 0, "warning: flow_shared expires in 11 days, on 2031-05-01"),
        ("2031-05-01", 1, "1 schemas, 1 problems"),
        ("2028-01-01", 1, "1 schemas, 1 problems"),
    ):
        done = run_command("schemas", "check", ".", "--today", today, folder=tmp_path)
        assert (done.status, said in done.stderr) == (status, True), (today, done)


def test_new_writes_a_first_version_that_the_check_lets_pass(tmp_path: Path) -> None:
    done = run_command("schemas", "new", "flow_shared", ".", "--doc", "A flow was shared.", folder=tmp_path)
    assert (done.status, done.stdout) == (0, "flow_shared/v1.avsc\n")
    schema = Catalog.load(tmp_path).latest("flow_shared")
    assert [field.name for field in schema.fields] == [*ENVELOPE_FIELDS, "version"]
    assert (schema.name, schema.doc) == ("FlowShared", "A flow was shared.")
    checked = run_command("schemas", "check", ".", "--today", "2030-01-01", folder=tmp_path)
    assert (checked.status, checked.stdout) == (1, "flow_shared: event.toml: question, owner, review are missing\n")
    fill_in(tmp_path / "flow_shared" / "event.toml")
    assert run_command("schemas", "check", ".", "--today", "2030-01-01", folder=tmp_path).status == 0
    again = run_command("schemas", "new", "flow_shared", ".", folder=tmp_path)
    assert (again.status, "flow_shared is there already" in again.stderr) == (2, True)
    named = run_command("schemas", "new", "Flow Shared", ".", folder=tmp_path)
    assert (named.status, "an event's name is snake_case" in named.stderr) == (2, True)


def test_new_explains_the_envelope_as_the_shipped_events_do(tmp_path: Path) -> None:
    assert run_command("schemas", "new", "flow_shared", str(tmp_path), folder=tmp_path).status == 0
    (written,) = Catalog.load(tmp_path)
    shipped = catalog().latest("tool_created")
    assert {field.name: (field.doc, field.purpose) for field in written.fields}.items() <= {
        field.name: (field.doc, field.purpose) for field in shipped.fields
    }.items()


def test_a_sixth_event_is_its_folder_and_what_is_generated(tmp_path: Path) -> None:
    """As CONTRIBUTING.md says; the classes are used as an app uses them."""
    shutil.copytree(AVSC, tmp_path / "avro")
    run_command("schemas", "new", "flow_shared", "avro", folder=tmp_path)
    fill_in(tmp_path / "avro" / "flow_shared" / "event.toml")
    file = tmp_path / "avro" / "flow_shared" / "v1.avsc"
    source = json.loads(file.read_text())
    visibility = {
        "type": "enum", "name": "Visibility", "doc": "d", "symbols": ["TEAM", "PUBLIC", "OTHER"], "default": "OTHER",
    }  # fmt: skip
    source["fields"].append(
        {"name": "sharedWith", "type": visibility, "doc": "With whom.", "purpose": "p", "classification": "enum"}
    )
    file.write_text(json.dumps(source))
    assert run_command("schemas", "check", "avro", "--today", "2030-01-01", folder=tmp_path).status == 0
    schemas = Catalog.load(tmp_path / "avro")
    module = ModuleType("sixth")
    sys.modules[module.__name__] = module  # where dataclasses look names up
    try:
        exec(compile(event_classes(schemas), "events.py", "exec"), vars(module))
        event = module.FlowShared(version="3.0.1", shared_with=module.Visibility("EVERYONE"))
    finally:
        del sys.modules[module.__name__]
    record = {**ENVELOPE.fields(), **event.properties()}
    assert decode(encode(schemas.latest("flow_shared"), record), schemas)[1] == {
        **ENVELOPE.fields(), "version": "3.0.1", "sharedWith": "OTHER",
    }  # fmt: skip
    assert "| `sharedWith` | With whom. | p | enum | TEAM, PUBLIC or OTHER |" in disclosure(schemas)
