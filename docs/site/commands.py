"""Every command with its help, its options and their environment twins."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click
from docs.site.markdown import code, prose, table

from flowise_telemetry_cli.command_group import name_twins
from flowise_telemetry_cli.errors import PROGRAM
from flowise_telemetry_cli.main import cli

__all__ = ["commands_page", "contexts", "option_rows"]

_INTRODUCTION = """# Every command

Made from the commands themselves. [Commands](../commands.md) is shorter, and says what the exit
statuses mean.

Tab completion, for bash, zsh and fish: [Completion and manual pages](../guides/shell.md).
"""


def contexts() -> Iterator[click.Context]:
    """Yield a context for each command, a group before those in it."""
    yield from _below(click.Context(cli, info_name=PROGRAM, auto_envvar_prefix="FLOWISE_TELEMETRY"))


def _below(context: click.Context) -> Iterator[click.Context]:
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command is not None
            name_twins(command, f"{context.auto_envvar_prefix}_{name}")
            yield from _below(click.Context(command, parent=context, info_name=name))


def commands_page() -> str:
    """Return the page."""
    return _INTRODUCTION + "".join(_section(context) for context in contexts() if context.parent is not None)


def _section(context: click.Context) -> str:
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"\n## {context.command_path.removeprefix(PROGRAM + ' ')}\n", f"```text\n{usage}\n```\n"]
    parts += [_paragraph(text) for text in inspect.cleandoc(command.help or "").split("\n\n")]
    rows = option_rows(context)
    return "\n".join([*parts, table(("option", "variable", "default", ""), rows)] if rows else parts)


def _paragraph(text: str) -> str:
    text, kept = text.removeprefix("\b\n"), text.startswith("\b")
    if kept:  # click's mark of lines that stay as they are: examples
        title, _, lines = text.partition("\n")
        return f"{title}\n\n```text\n{inspect.cleandoc(lines)}\n```\n"
    return prose(" ".join(text.split())) + "\n"


def option_rows(context: click.Context) -> list[tuple[str, str, str, str]]:
    """Return of each option of a command: its names, its variables, its default, its help; as cells of a table."""
    rows = []
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is None or "--help" in parameter.opts:
            continue
        assert isinstance(parameter, click.Option)
        default = parameter.get_default(context, call=False)
        shown = "" if default in (None, False, ()) or callable(default) or "UNSET" in repr(default) else str(default)
        rows.append((code(record[0]), code(str(parameter.envvar)), code(shown), prose(parameter.help or "")))
    return rows
