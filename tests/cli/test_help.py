from __future__ import annotations

from pathlib import Path

import click
import pytest

from tests.cli.command_tree import commands

GUIDE = Path(__file__).parents[2] / "docs" / "commands.md"


COMMANDS = {
    f"flowise-telemetry {words}": command for words, command in commands() if not isinstance(command, click.Group)
}


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_help_with_an_example(path: str) -> None:
    help_text = COMMANDS[path].help or ""
    assert "Example:" in help_text
    assert path in help_text, "the example runs the command"


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_says_what_it_does(path: str) -> None:
    silent = [
        parameter.name
        for parameter in COMMANDS[path].params
        if isinstance(parameter, click.Option) and not parameter.help
    ]
    assert silent == []


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_stands_in_the_guide(path: str) -> None:
    assert f"`{path.removeprefix('flowise-telemetry ')}" in GUIDE.read_text(encoding="utf-8")
