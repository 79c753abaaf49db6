from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackagePath
from pathlib import Path
from types import SimpleNamespace

import pytest

from flowise_telemetry_cli.commands import verify as module
from flowise_telemetry_schemas import catalog
from tests.cli.in_process import run_command

AVSC = Path(__file__).parents[3] / "schemas" / "flowise_telemetry_schemas" / "avro"


def wheel_of(folder: Path) -> Iterator[PackagePath]:
    """The files of a wheel with these schemas, as its RECORD lists them."""
    for file in sorted(folder.glob("*/v*.avsc")):
        path = PackagePath(f"flowise_telemetry_schemas/avro/{file.parent.name}/{file.name}")
        digest = base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest()).decode().rstrip("=")
        path.hash = SimpleNamespace(mode="sha256", value=digest)  # type: ignore[assignment]  # what it is read for
        yield path


def rows(*arguments: str, folder: Path, status: int = 0) -> dict[str, dict[str, str]]:
    done = run_command("verify", *arguments, "--json", folder=folder)
    assert done.status == status, done
    return {row["file"]: row for row in map(json.loads, done.stdout.splitlines())}


def test_each_schema_is_shown_with_its_fingerprint_and_release(tmp_path: Path) -> None:
    shown = rows(folder=tmp_path)
    assert {(name, row["fingerprint"]) for name, row in shown.items()} == {
        (f"{schema.event}/v{schema.version}.avsc", schema.fingerprint_hex) for schema in catalog()
    }
    assert {row["as_released"] for row in shown.values()} == {"yes"}
    assert run_command("verify", folder=tmp_path).stdout.splitlines()[0].split()[:2] == ["file", "fingerprint"]


def test_a_file_that_is_not_the_wheels_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(AVSC, tmp_path / "avro")
    monkeypatch.setattr(module, "distribution", lambda name: SimpleNamespace(files=list(wheel_of(AVSC))))
    assert {row["as_in_wheel"] for row in rows("avro", folder=tmp_path).values()} == {"yes"}
    file = tmp_path / "avro" / "tool_created" / "v1.avsc"
    file.write_text(file.read_text().replace("A custom tool", "Any tool"))
    shown = rows("avro", folder=tmp_path, status=1)
    assert {name for name, row in shown.items() if row["as_in_wheel"] == "no"} == {"tool_created/v1.avsc"}
    assert shown["tool_created/v1.avsc"]["as_released"] == "no"


def test_check_against_a_commit_refuses_what_changed_since(tmp_path: Path) -> None:
    shutil.copytree(AVSC, tmp_path / "avro")
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    for arguments in (("init", "-q"), ("add", "avro"), ("commit", "-q", "-m", "released")):
        subprocess.run([*git, *arguments], cwd=tmp_path, check=True, capture_output=True)
    assert run_command("schemas", "check", "avro", "--against", "HEAD", folder=tmp_path).status == 0
    (tmp_path / "avro" / "released.json").unlink()
    file = tmp_path / "avro" / "tool_created" / "v1.avsc"
    file.write_text(file.read_text().replace("A custom tool", "Any tool"))
    done = run_command("schemas", "check", "avro", "--against", "HEAD", folder=tmp_path)
    assert (done.status, done.stdout) == (
        1,
        "tool_created/v1.avsc: changed since HEAD: a released file never changes; write the next version\n",
    )
    unknown = run_command("schemas", "check", "avro", "--against", "v9", folder=tmp_path)
    assert (unknown.status, "--against: fatal: Not a valid object name v9" in unknown.stderr) == (2, True)
    dash = run_command("schemas", "check", "avro", "--against", "--output=x", folder=tmp_path)
    assert (dash.status, "takes a tag or a commit" in dash.stderr) == (2, True)
