"""A command line with its environment, as a manifest or a unit starts it: read by click, but not run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

import click
import pytest

from flowise_telemetry import environment
from flowise_telemetry_cli.commands.gateway import KEYS_VARIABLE
from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_cli.main import cli
from flowise_telemetry_transport import KafkaSettings

__all__ = ["check_command_line", "check_names", "names_of"]

_PREFIX = "FLOWISE_TELEMETRY"
_OTHERS = {"PGPASSWORD", "PGPASSWORD_FILE", "JOB_COMPLETION_INDEX", KEYS_VARIABLE}
_PRODUCERS = {value for name, value in vars(environment).items() if name.isupper() and isinstance(value, str)}
_STARTED_WITHOUT_A_COMMAND = ("replay",)


def check_command_line(arguments: Sequence[str], variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail unless the command takes these arguments and reads each of these variables, with values in range."""
    monkeypatch.setattr(os, "environ", dict(variables))
    context, rest = _context_of(arguments)
    command, name = context.command, context.info_name
    assert context.parent is not None
    with command.make_context(name, list(rest), parent=context.parent):
        pass
    check_names(variables, [_names_of(command)])
    if any(name.startswith(f"{_PREFIX}_KAFKA_") for name in variables):
        assert KafkaSettings.from_env(variables).options == {}, "settings that have no name of ours"


def check_names(variables: Iterable[str], known: Iterable[set[str]]) -> None:
    """Fail unless each variable is one of these, of the producer's or of the connection's."""
    for name in variables:
        assert name.startswith(f"{_PREFIX}_KAFKA_") or name in _OTHERS | _PRODUCERS | set().union(*known), name


def names_of(arguments: Sequence[str]) -> set[str]:
    """Return the environment twins of a command's options."""
    return _names_of(_context_of(arguments)[0].command)


def _names_of(command: click.Command) -> set[str]:
    return {str(parameter.envvar) for parameter in command.params if isinstance(parameter, click.Option)}


def _context_of(arguments: Sequence[str]) -> tuple[click.Context, list[str]]:
    context = click.Context(cli, info_name="flowise-telemetry", auto_envvar_prefix=_PREFIX, obj=Invocation())
    rest = list(arguments)
    while isinstance(context.command, click.Group) and context.info_name not in _STARTED_WITHOUT_A_COMMAND:
        name, command, rest = context.command.resolve_command(context, rest)
        assert command is not None
        context = click.Context(command, info_name=name, parent=context)
    return context, rest
