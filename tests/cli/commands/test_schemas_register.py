from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowise_telemetry_schemas import catalog
from tests.cli.in_process import run_command
from tests.cli.program import Finished
from tests.schemas.own_folder import NAMESPACE, write
from tests.services.small_registry import SmallRegistry, small_registry

ENVIRON = "FLOWISE_TELEMETRY_SCHEMA_REGISTRY_URL"
PATIENCE = "FLOWISE_TELEMETRY_SCHEMA_REGISTRY_TIMEOUT_SECONDS"
SCHEMAS = list(catalog())
SUBJECT = "flowise.telemetry.events-flowise.telemetry.ToolCreated"


@pytest.fixture
def registry() -> Iterator[SmallRegistry]:
    with small_registry() as served:
        yield served


def run(registry: SmallRegistry, folder: Path, *words: str) -> Finished:
    return run_command("schemas", *words, folder=folder, env={ENVIRON: registry.url, PATIENCE: "60"})


def test_every_schema_is_registered_once(registry: SmallRegistry, tmp_path: Path) -> None:
    first, second = (run(registry, tmp_path, "register", "--json") for _ in range(2))
    rows = [json.loads(line) for line in first.stdout.splitlines()]
    assert [(row["event"], row["version"]) for row in rows] == [(it.event, f"v{it.version}") for it in SCHEMAS]
    assert all(row["new"] for row in rows)
    assert [json.loads(line) for line in second.stdout.splitlines()] == [{**row, "new": False} for row in rows]
    assert (first.status, second.status) == (0, 0)
    assert set(registry.config) == set(registry.subjects) == {row["subject"] for row in rows}
    assert set(registry.config.values()) == {"BACKWARD_TRANSITIVE"}
    assert {json.dumps(json.loads(text)) for text in registry.schemas.values()} == {
        json.dumps(schema.source) for schema in SCHEMAS
    }


def test_a_subject_is_named_after_the_topic(registry: SmallRegistry, tmp_path: Path) -> None:
    shown = run(registry, tmp_path, "register", "--topic", "mine").stdout.splitlines()
    assert all(line.split()[-1].startswith("mine-flowise.telemetry.") for line in shown[1:])
    assert shown[1].split()[2:5] == ["1", "registered", "mine-flowise.telemetry.AssistantCreated"]


def test_events_of_ones_own_have_subjects_of_their_namespace(registry: SmallRegistry, tmp_path: Path) -> None:
    write(tmp_path)
    done = run(registry, tmp_path, "register", "--schemas", ".", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    (own,) = [row for row in rows if row["event"] == "thing_made"]
    assert (own["subject"], len(rows)) == (f"flowise.telemetry.events-{NAMESPACE}.ThingMade", len(SCHEMAS) + 1)
    assert run(registry, tmp_path, "check", ".", "--registry", "--today", "2026-12-01").status == 0


def test_what_is_refused_fails_and_keeps_nothing_else_from_it(registry: SmallRegistry, tmp_path: Path) -> None:
    run(registry, tmp_path, "register")
    del registry.subjects[SUBJECT]
    registry.refuses = True
    done = run(registry, tmp_path, "register")
    assert done.status == 1
    assert [line.split()[3] for line in done.stdout.splitlines()[1:]].count("refused") == 1
    url = registry.url
    assert done.stderr == (
        f"error: the schema registry at {url} refuses what is asked for subject {SUBJECT} (409): so says the registry\n"
    )


@pytest.mark.parametrize("fault", [401, 404, 500])
def test_a_fault_is_one_line(registry: SmallRegistry, tmp_path: Path, fault: int) -> None:
    registry.fault = fault
    for words in (["register"], ["check", "--registry"]):
        done = run(registry, tmp_path, *words)
        assert (done.status, done.stdout) == (1, "")
        assert done.stderr.startswith(f"error: the schema registry at {registry.url} ")
        assert done.stderr.count("\n") == 1


def test_check_compares_with_the_registry(registry: SmallRegistry, tmp_path: Path) -> None:
    before = run(registry, tmp_path, "check", "--registry")
    assert before.status == 1
    assert f"tool_created v1: is not in the registry's subject {SUBJECT}; schemas register adds it" in before.stdout
    run(registry, tmp_path, "register")
    assert run(registry, tmp_path, "check", "--registry").status == 0
    registry.config[SUBJECT] = "NONE"
    registry.subjects[SUBJECT] = []
    registry.refuses = True
    after = run(registry, tmp_path, "check", "--registry").stdout.splitlines()
    assert after == [
        f"tool_created v1: is not in the registry's subject {SUBJECT}, whose versions it is not compatible with",
        f"{SUBJECT}: lets pass what is NONE, and not BACKWARD_TRANSITIVE alone; schemas register sets it",
    ]


def test_a_stricter_setting_of_the_operators_stays(registry: SmallRegistry, tmp_path: Path) -> None:
    registry.config[SUBJECT] = "FULL_TRANSITIVE"
    for _ in range(2):
        assert run(registry, tmp_path, "register").status == 0
        assert registry.config[SUBJECT] == "FULL_TRANSITIVE"
    assert run(registry, tmp_path, "check", "--registry").status == 0


def test_without_a_registry_it_is_misuse(tmp_path: Path) -> None:
    done = run_command("schemas", "register", folder=tmp_path)
    assert (done.status, done.stderr) == (
        2,
        f"error: {ENVIRON} is not set: give the registry's http://host:port\n",
    )
