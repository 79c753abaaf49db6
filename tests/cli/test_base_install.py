"""The command as a newcomer has it: without extras, on any terminal, with or without a home."""

from __future__ import annotations

import re
from importlib.metadata import metadata
from pathlib import Path

import pytest

from tests.cli.base_install import least_arguments, run_all
from tests.cli.program import program

NEEDS_EXTRA = re.compile(r"error: [\w-]+ is not installed: (pip install 'flowise-telemetry\[([\w-]+)\]')\n")
ON_THE_BASE = frozenset(
    ("disable", "doctor", "enable", "forget", "log", "preview", "schemas", "send", "status", "topics", "verify")
)
"""All others need an extra."""
AT_ONCE = ("disable", "enable", "forget", "preview", "schemas check", "schemas list", "status", "verify")
"""Commands that need neither arguments nor anything to be there."""


@pytest.mark.slow
def test_every_command_works_on_the_base_install_or_names_its_extra(tmp_path: Path) -> None:
    commands = dict(least_arguments())
    lines = [[*words.split(), *arguments] for words, arguments in commands.items()]
    lines += [[*words.split(), "--help"] for words in commands]
    away = {"BOOTSTRAP_SERVERS": "127.0.0.1:1", "KAFKA_CONNECT_TIMEOUT_MS": "500"}
    finished = run_all(lines, tmp_path, **{f"FLOWISE_TELEMETRY_{name}": value for name, value in away.items()})
    done, shown = (
        dict(zip(commands, its, strict=True)) for its in (finished[: len(commands)], finished[len(commands) :])
    )
    needing: dict[str, str] = {}
    for words in commands:
        assert (shown[words].status, shown[words].stderr) == (0, ""), words
        assert "Usage: flowise-telemetry " in shown[words].stdout
        its = done[words]
        assert its.status in (0, 1, 2, 3), (words, its)
        assert "Traceback" not in its.stderr, (words, its)
        assert "internal error" not in its.stderr, (words, its)
        if "is not installed" in its.stderr:
            named = NEEDS_EXTRA.fullmatch(its.stderr)
            assert named, (words, its)
            assert (its.status, its.stdout) == (1, ""), (words, its)
            needing[words] = named[2]
            assert re.search(rf"\bextras?\b.*\b{named[2]}\b", shown[words].stdout, re.DOTALL), words
        if "It needs an extra" in shown[words].stdout:
            assert f"[{needing[words]}]" in shown[words].stdout, (words, its)
    assert set(needing.values()) <= set(metadata("flowise-telemetry").get_all("Provides-Extra") or ())
    first = {words.split()[0] for words in needing}
    assert {words.split()[0] for words in commands} - first == ON_THE_BASE
    assert {words: done[words].status for words in AT_ONCE} == dict.fromkeys(AT_ONCE, 0)


@pytest.mark.slow
@pytest.mark.parametrize("command", [("consume",), ("send",), ("status",), ("replay",), ()], ids=" ".join)
@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_help_is_shown_in_every_encoding(command: tuple[str, ...], encoding: str, tmp_path: Path) -> None:
    done = program(*command, "--help", folder=tmp_path, env={"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"})
    assert (done.status, done.stderr) == (0, "")


# A user id that no file of users knows, as containers are given one: no HOME, and nobody to ask for it.
NOBODY = """
import os, pwd
for name in ("HOME", "XDG_CONFIG_HOME"):
    del os.environ[name]
def unknown(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = unknown
"""


@pytest.mark.slow
@pytest.mark.parametrize("command", ["disable", "enable", "forget", "status"])
def test_a_user_without_a_home_is_told_what_to_set(command: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NOBODY)
    done = program(command, folder=tmp_path, env={"PYTHONPATH": str(tmp_path)})
    if command in ("disable", "enable"):
        assert (done.status, done.stdout) == (1, "")
        said = "error: the choice cannot be stored: this user has no home folder: set FLOWISE_TELEMETRY_CONFIG_DIR"
        assert done.errors == [said]
    else:
        assert done.status == 0
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
    assert "None" not in done.stdout + done.stderr


@pytest.mark.slow
def test_enable_does_not_say_on_where_it_is_off(tmp_path: Path) -> None:
    done = program("enable", folder=tmp_path, env={"DO_NOT_TRACK": "1"})
    assert done.status == 0
    assert "is on" not in done.stdout
    assert "telemetry is still off here: DO_NOT_TRACK in the environment" in done.stderr
    done = program("enable", folder=tmp_path)
    assert "telemetry is on for this user" in done.stdout
    assert done.stderr == ""
