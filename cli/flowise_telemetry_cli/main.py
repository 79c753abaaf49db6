"""The command group, and how every command ends: results on stdout, all else on stderr, never a traceback."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import click
from click.exceptions import NoArgsIsHelpError

from flowise_telemetry_cli.errors import DONE, FAILED, MISUSE
from flowise_telemetry_schemas import ConfigurationError, MissingExtraError, TelemetryError

__all__ = ["COMMANDS", "PROGRAM", "cli", "main"]

PROGRAM = "flowise-telemetry"

COMMANDS = {
    "audit": "flowise_telemetry_cli.commands.audit:audit",
    "compact": "flowise_telemetry_cli.commands.compact:compact",
    "consume": "flowise_telemetry_cli.commands.consume:consume",
    "demo": "flowise_telemetry_cli.commands.demo:demo",
    "disable": "flowise_telemetry_cli.commands.status:disable",
    "dlq": "flowise_telemetry_cli.commands.dlq:dlq",
    "enable": "flowise_telemetry_cli.commands.status:enable",
    "log": "flowise_telemetry_cli.commands.log:log",
    "preview": "flowise_telemetry_cli.commands.preview:preview",
    "replay": "flowise_telemetry_cli.commands.replay:replay",
    "schemas": "flowise_telemetry_cli.commands.schemas:schemas",
    "send": "flowise_telemetry_cli.commands.send:send",
    "status": "flowise_telemetry_cli.commands.status:status",
    "topics": "flowise_telemetry_cli.commands.topics:topics",
}
"""Where each command lives. Only the one that is asked for is imported: ``status`` should not wait for polars."""

_MOVING_RECORDS = frozenset({"consume", "replay"})
"""They have polars at work all the time, on one batch after the other: its threads cost more to wake than they save."""

TRACEBACK_VARIABLE = "FLOWISE_TELEMETRY_TRACEBACK"


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        if cmd_name in _MOVING_RECORDS:
            os.environ.setdefault("POLARS_MAX_THREADS", "1")  # read when polars is imported
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name=PROGRAM, prog_name=PROGRAM)
def cli() -> None:
    """Anonymous usage telemetry: send events, consume them into a sink, replay the topic.

    Every option can be given as an environment variable: consume --sink is FLOWISE_TELEMETRY_CONSUME_SINK. The
    connection is shared by all commands: FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS, _TOPIC, _CLIENT, and _KAFKA_* for any
    setting of the Kafka client. Exit status: 0 done, 1 failed, 2 misuse, 3 incomplete.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits the process with its status."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status; whatever goes wrong is one line on stderr."""
    try:
        result = cli.main(
            args=arguments, prog_name=PROGRAM, standalone_mode=False, auto_envvar_prefix="FLOWISE_TELEMETRY"
        )
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output went away (``| head``); stdout must not be flushed again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        message, status = _explained(error)
        click.echo(message if isinstance(error, NoArgsIsHelpError) else f"error: {message}", err=True)
        return status
    return result if isinstance(result, int) else DONE


def _explained(error: Exception) -> tuple[str, int]:
    match error:
        case NoArgsIsHelpError():
            explained = error.format_message(), MISUSE
        case click.UsageError():
            where = error.ctx.command_path if error.ctx else PROGRAM
            explained = f"{where}: {_one_line(error.format_message())} (see {where} --help)", MISUSE
        case click.ClickException():
            explained = _one_line(error.format_message()), FAILED
        case click.Abort():
            explained = "interrupted", FAILED
        case ConfigurationError() if not isinstance(error, MissingExtraError):
            explained = _one_line(str(error)), MISUSE
        case TelemetryError():
            explained = _one_line(str(error)), FAILED
        case _:  # a bug of ours: still one line
            if os.environ.get(TRACEBACK_VARIABLE):
                traceback.print_exception(error)
            explained = (
                (
                    f"internal error: {type(error).__name__} at {_where(error)}; "
                    f"{TRACEBACK_VARIABLE}=1 shows the trace for a bug report"
                ),
                FAILED,
            )
    return explained


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _where(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"
