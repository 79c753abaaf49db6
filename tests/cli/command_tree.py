"""Every command there is."""

from __future__ import annotations

from collections.abc import Iterator

import click

from flowise_telemetry_cli.main import cli

__all__ = ["commands", "options_of"]


def commands(group: click.Group = cli, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield the words of each command and the command, a group before those in it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")


def options_of(command: click.Command) -> frozenset[str]:
    """The names of its options, with their dashes."""
    return frozenset(option for parameter in command.params for option in parameter.opts)
