from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from flowise_telemetry_cli.main import cli

GUIDE = Path(__file__).parents[2] / "docs" / "commands.md"


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(commands(cli, "flowise-telemetry"))


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
