"""Completion with the tab key: what docs/guides/shell.md has the shells evaluate, and what they then ask."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.shell_completion import ShellComplete, get_completion_class

from flowise_telemetry_cli import command_group
from flowise_telemetry_cli.errors import PROGRAM
from flowise_telemetry_cli.main import cli
from tests.cli.program import environment

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "shell.md").read_text(encoding="utf-8")
VARIABLE = "_FLOWISE_TELEMETRY_COMPLETE"


def shell_of(name: str) -> ShellComplete:
    found = get_completion_class(name)
    assert found is not None
    return found(cli, {}, PROGRAM, VARIABLE)


def test_the_guide_names_each_shell() -> None:
    assert re.findall(rf"{VARIABLE}=(\w+)_source", GUIDE) == ["bash", "zsh", "fish"]


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    (line,) = re.findall(r'^eval "\$\(.*bash_source.*$', GUIDE, re.MULTILINE)
    asks = """
ask() {
    COMPREPLY=() COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _flowise_telemetry_completion "$1"
    echo "${COMPREPLY[@]}"
}
ask flowise-telemetry stat
ask flowise-telemetry status --conn
"""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    shell = ["bash", "--norc", "-c", line + asks]
    done = subprocess.run(
        shell, env=environment(tmp_path, PATH=path), capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.splitlines() == ["status", "--connect"]


def test_commands_are_completed_without_importing_them(monkeypatch: pytest.MonkeyPatch) -> None:
    imported: list[str] = []

    def noted(name: str) -> ModuleType:
        imported.append(name)
        return import_module(name)

    monkeypatch.setattr(command_group, "import_module", noted)
    items = shell_of("bash").get_completions([], "")
    assert [item.value for item in items] == cli.list_commands(click.Context(cli))
    assert all(item.help for item in items)
    assert set(imported) == {"flowise_telemetry_cli.commands"}


@pytest.mark.parametrize(("shell", "says"), [("zsh", "#compdef flowise-telemetry"), ("fish", "complete --no-files")])
def test_other_shells_get_their_script(shell: str, says: str) -> None:
    script = shell_of(shell).source()
    assert says in script
    assert f"{VARIABLE}={shell}_complete" in script


@pytest.mark.parametrize(
    ("shell", "word", "answer"),
    [("zsh", "1", "plain\nstatus\n"), ("fish", "stat", "plain,status\t")],
)
def test_other_shells_are_answered(shell: str, word: str, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"COMP_WORDS": "flowise-telemetry stat", "COMP_CWORD": word}
    monkeypatch.setattr(os, "environ", {**os.environ, **asked})
    assert shell_of(shell).complete().startswith(answer)
