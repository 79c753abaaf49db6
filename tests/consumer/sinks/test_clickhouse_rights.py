"""The rights of the ClickHouse roles in docs/sinks.md, tried on its engine: they are enough, each is needed and told.

The engine has the users that a configuration gives it, one for each process.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.consumer.sinks.clickhouse_roles import LACKING, ROLES, configure
from tests.consumer.sinks.writer_process import ROOT
from tests.thoroughness import IS_CI

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("clickhouse-rights")]

# The engine makes the database of a folder, which is somebody else's on a server.
_OF_THE_ENGINE = "GRANT CREATE DATABASE ON *.*"


def run(part: str, folder: Path, config: Path) -> tuple[str, str]:
    """Return what a process with this configuration says: a sink's error, and warnings."""
    command = [sys.executable, "-m", "tests.consumer.sinks.clickhouse_roles", part, str(folder), str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True, cwd=ROOT)
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What a role finds: the owner's is of an older version."""
    folder = tmp_path_factory.mktemp("prepared")
    everything = configure(folder / "everything", ["GRANT ALL ON *.*"])
    for part in ("older", "whole"):
        assert run(part, folder / part, everything) == ("", "")
    return {role: folder / ("older" if role == "owner" else "whole") for role in ROLES}


def tried(role: str, prepared: Path, folder: Path, *, without: str = "") -> tuple[str, str]:
    """Return what is said where a role does all that it is for, with its rights or without one of them."""
    rights = ", ".join(right for right in ROLES[role] if right != without)
    config = configure(folder / "config", [_OF_THE_ENGINE, *([f"GRANT {rights} ON telemetry.*"] if rights else [])])
    shutil.copytree(prepared, folder / "engine", symlinks=True)
    return run(role, folder / "engine", config)


@pytest.mark.parametrize("role", ROLES)
def test_they_are_enough(role: str, prepared: dict[str, Path], tmp_path: Path) -> None:
    error, warnings = tried(role, prepared[role], tmp_path)
    assert error == ""
    assert [line for line in warnings.splitlines() if "was restored from a backup" not in line] == []


@pytest.mark.parametrize(("role", "right"), [(role, right) for role, right in LACKING if IS_CI or role != "owner"])
def test_each_is_needed_and_told(role: str, right: str, prepared: dict[str, Path], tmp_path: Path) -> None:
    error, _ = tried(role, prepared[role], tmp_path, without=right)
    assert "grant" in error
    assert re.search(rf"\b{right}\b", error)
    assert "\n" not in error
