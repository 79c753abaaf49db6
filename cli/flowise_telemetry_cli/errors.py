"""Errors of the command line: the exit status of each, and its one line on stderr."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Iterator
from pathlib import Path

import click
from click.exceptions import NoArgsIsHelpError

from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_schemas import ConfigurationError, MissingExtraError, TelemetryError
from flowise_telemetry_schemas.printable import printable

__all__ = ["DONE", "FAILED", "INCOMPLETE", "MISUSE", "PROGRAM", "log_error", "message_of", "report_error", "status_of"]

PROGRAM = "flowise-telemetry"

DONE = 0
FAILED = 1
MISUSE = 2
"""A wrong option or setting; nothing was tried."""
INCOMPLETE = 3
"""Some of the work was not done; the counts on stdout say what."""

_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (click.UsageError, MISUSE),
    (MissingExtraError, FAILED),
    (ConfigurationError, MISUSE),
    (Exception, FAILED),
)
"""Exit status by error: the first that fits."""

_RESTARTABLE = frozenset({"import", "replay"})
"""Commands that a supervisor, such as a Kubernetes Job, restarts. An outage leaves them incomplete, not failed."""

TRACEBACK_VARIABLE = "FLOWISE_TELEMETRY_TRACEBACK"


def report_error(error: Exception, invocation: Invocation) -> int:
    """Print the error as one line on stderr and return the exit status."""
    if isinstance(error, NoArgsIsHelpError):
        echo(error.format_message(), err=True)
        return MISUSE
    if os.environ.get(TRACEBACK_VARIABLE) and _is_bug(error):
        traceback.print_exception(error)
    echo(f"error: {message_of(error, invocation)}", err=True)
    return status_of(error, invocation)


def log_error(logger: logging.Logger, error: Exception, invocation: Invocation) -> None:
    """Log the error as one line, for a service whose stderr has log lines only."""
    shown = bool(os.environ.get(TRACEBACK_VARIABLE)) and _is_bug(error)
    logger.critical("%s", message_of(error, invocation), exc_info=error if shown else None)


def status_of(error: Exception, invocation: Invocation) -> int:
    """Return the exit status of the error for the command that was typed."""
    if _is_outage(error, invocation):
        return INCOMPLETE
    return next(status for kind, status in _STATUSES if isinstance(error, kind))


def message_of(error: Exception, invocation: Invocation) -> str:
    """Return the error in one line, with the option at fault in front if a library error names an argument."""
    match error:
        case click.UsageError():
            where = error.ctx.command_path if error.ctx else PROGRAM
            return f"{where}: {_one_line(error.format_message())} (see {where} --help)"
        case click.ClickException():
            return _one_line(error.format_message())
        case click.Abort():
            return "interrupted"
        case TelemetryError():
            option = None if error.argument is None else _option_of(error.argument, invocation)
            message = _one_line(f"{option}: {error}" if option is not None else str(error))
            return f"incomplete: {message}: it can be started again" if _is_outage(error, invocation) else message
        case _:
            return (
                f"internal error: {type(error).__name__} at {_place_of(error)}; "
                f"{TRACEBACK_VARIABLE}=1 shows the trace for a bug report"
            )


def _is_outage(error: Exception, invocation: Invocation) -> bool:
    """Return whether the command may succeed later and is one that supervisors restart."""
    if not isinstance(error, TelemetryError) or isinstance(error, MissingExtraError):
        return False
    if not _RESTARTABLE & {command.name for command in invocation.commands}:
        return False
    from flowise_telemetry_consumer import SinkInUseError  # already loaded during these, and slow to load elsewhere

    return error.retryable or isinstance(error, SinkInUseError)


def _is_bug(error: Exception) -> bool:
    return not isinstance(error, (click.ClickException, click.Abort, TelemetryError))


def _option_of(argument: str, invocation: Invocation) -> str | None:
    """Return the option for an argument of the library; None if there is none.

    Parameters of the commands are named as the library names its arguments: ``begin`` is ``--from``.
    """
    return next((_typed(parameter) for parameter in _parameters(invocation) if parameter.name == argument), None)


def _parameters(invocation: Invocation) -> Iterator[click.Parameter]:
    """Yield the parameters of the command, and then those of its groups."""
    for command in reversed(invocation.commands):
        yield from command.params


def _typed(parameter: click.Parameter) -> str:
    """Return a parameter as the user types it."""
    return parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name


def _one_line(message: str) -> str:
    return printable(" ".join(message.split()))


def _place_of(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"
