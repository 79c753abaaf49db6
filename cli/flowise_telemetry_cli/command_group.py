"""Groups of commands: a folder is a group, and each file in it is one command."""

from __future__ import annotations

import ast
import functools
import pkgutil
from importlib import import_module
from importlib.util import find_spec

import click
from click.shell_completion import CompletionItem

from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_schemas import MissingExtraError

__all__ = ["CommandFolder", "CommandGroup", "name_twins"]


class CommandGroup(click.Group):
    """A group whose commands are noted for errors, and whose options have environment twins."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve the command as click does, and note it in the ``Invocation``."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            ctx.ensure_object(Invocation).commands.append(command)
            name_twins(command, f"{ctx.auto_envvar_prefix}_{name}")
        return name, command, rest


def name_twins(command: click.Command, prefix: str) -> None:
    """Let ``--from`` be ``…_FROM`` in the environment: click would take the parameter's name, ``begin``."""
    for option in command.params:
        if isinstance(option, click.Option) and option.envvar is None:
            option.envvar = f"{prefix}_{option.opts[0].lstrip('-')}".replace("-", "_").upper()


class CommandFolder(CommandGroup):
    """A group whose commands are the modules of a package, except those that begin with an underscore.

    Module ``show`` defines its command as ``show`` or, if Python already uses the name, as with ``list``, as ``list_``.
    A module is imported when its command is called, never for the help of its group: ``status`` must not wait for
    polars.
    """

    def __init__(self, *args: object, package: str, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # click's own arguments, passed on
        self.package = package

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the modules."""
        path = import_module(self.package).__path__
        return sorted(module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module; return None if there is none.

        If its extra is not installed, the command still has its help, which names the extra, and fails when it is run.
        """
        if cmd_name not in self.list_commands(ctx):
            return None
        try:
            module = import_module(f"{self.package}.{cmd_name}")
        except MissingExtraError as error:
            return _without_extra(self.package, cmd_name, error)
        command: click.Command = getattr(module, f"{cmd_name}_", None) or getattr(module, cmd_name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete commands without importing any, and options as click does."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=self._short_help(name)) for name in names]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands with the first sentence of each, read from its source."""
        names = self.list_commands(ctx)
        limit = formatter.width - 6 - max(map(len, names))
        rows = [(name, self._short_help(name, limit)) for name in names]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _short_help(self, name: str, limit: int = 45) -> str:
        return click.Command(name, help=_docstring(self.package, name)).get_short_help_str(limit)


def _without_extra(package: str, name: str, error: MissingExtraError) -> click.Command:
    def fail() -> None:
        raise error

    return click.Command(
        name,
        callback=fail,
        help=f"{_docstring(package, name) or ''}\n\n\b\nIt needs an extra: {error}",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )


@functools.cache
def _docstring(package: str, command: str) -> str | None:
    """Return the docstring of a command without importing its module, and with it polars."""
    spec = find_spec(f"{package}.{command}")
    source = spec.loader.get_source(spec.name) if spec and spec.loader else None  # type: ignore[attr-defined]  # InspectLoader
    for node in ast.parse(source or "").body:
        if isinstance(node, ast.FunctionDef) and node.name in (command, f"{command}_"):
            return ast.get_docstring(node)
    return None
