"""The command as a newcomer has it: without extras, on any terminal, with or without a home."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.program import program

WITHOUT_EXTRA = [
    ("--help",),
    ("status",),
    ("enable",),
    ("disable",),
    ("preview", "tool_created"),
    ("schemas", "list"),
    ("log", "--help"),
    ("send", "--help"),
    ("topics", "create", "--help"),
]
WITH_EXTRA = ["consume", "compact", "replay"]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", WITHOUT_EXTRA, ids=" ".join)
def test_what_needs_no_extra_works_without(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = program(*arguments, folder=tmp_path, without="polars")
    assert (done.status, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("command", WITH_EXTRA)
def test_what_needs_one_says_which_in_its_help_too(command: str, tmp_path: Path) -> None:
    shown = program(command, "--help", folder=tmp_path, without="polars")
    assert (shown.status, shown.stderr) == (0, "")
    mend = "pip install 'flowise-telemetry[consumer]'"
    assert mend in shown.stdout
    done = program(command, "--sink", "sqlite:///a.db", folder=tmp_path, without="polars")
    assert (done.status, done.stdout) == (1, "")
    assert done.errors == [f"error: polars is not installed: {mend}"]


@pytest.mark.slow
@pytest.mark.parametrize("command", [("consume",), ("send",), ("status",), ("replay",), ()], ids=" ".join)
@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_help_is_shown_in_every_encoding(command: tuple[str, ...], encoding: str, tmp_path: Path) -> None:
    done = program(*command, "--help", folder=tmp_path, env={"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"})
    assert (done.status, done.stderr) == (0, "")


@pytest.mark.slow
def test_disable_without_a_home_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import pathlib\ndef home(cls): raise RuntimeError\npathlib.Path.home = classmethod(home)\n"
    )
    nobody = {"HOME": "", "XDG_CONFIG_HOME": "", "PYTHONPATH": str(tmp_path)}
    done = program("disable", folder=tmp_path, env=nobody)
    assert done.status == 1
    assert "this user has no home folder: set FLOWISE_TELEMETRY_CONFIG_DIR" in done.stderr
    assert "None" not in done.stderr


@pytest.mark.slow
def test_enable_does_not_say_on_where_it_is_off(tmp_path: Path) -> None:
    done = program("enable", folder=tmp_path, env={"DO_NOT_TRACK": "1"})
    assert done.status == 0
    assert "is on" not in done.stdout
    assert "telemetry is still off here: DO_NOT_TRACK in the environment" in done.stderr
    done = program("enable", folder=tmp_path)
    assert "telemetry is on for this user" in done.stdout
    assert done.stderr == ""
