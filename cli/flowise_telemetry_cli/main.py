"""Entry point: results go to stdout, everything else to stderr, and no error is a traceback."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

import click

from flowise_telemetry_cli.command_group import CommandFolder
from flowise_telemetry_cli.errors import DONE, FAILED, PROGRAM, report_error
from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_cli.signals import end_on_sigterm

__all__ = ["cli", "main", "run"]

_MOVING_RECORDS = frozenset({"consume", "export", "import", "replay"})
"""Commands that run polars on one small batch after another: waking its threads costs more than they save."""


class _Root(CommandFolder):
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _MOVING_RECORDS:
            os.environ.setdefault("POLARS_MAX_THREADS", "1")  # polars reads it when it is imported
        return super().get_command(ctx, cmd_name)


@click.group(
    cls=_Root,
    package="flowise_telemetry_cli.commands",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name=PROGRAM, prog_name=PROGRAM)
def cli() -> None:
    """Pseudonymous usage telemetry: send events, consume them into a sink, replay the topic.

    Every option can be given as an environment variable: consume --sink is FLOWISE_TELEMETRY_CONSUME_SINK. The
    connection is shared by all commands: FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS, _TOPIC, _CLIENT, and _KAFKA_* for any
    setting of the Kafka client. Exit status: 0 done, 1 failed, 2 misuse, 3 incomplete.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit the process with its status."""
    end_on_sigterm()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal of another encoding must not end a command, or its help
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None, invocation: Invocation | None = None) -> int:
    """Run the command line and return its exit status; an error is one line on stderr.

    ``invocation`` may replace the Kafka clients; it serves one run.
    """
    invocation = invocation or Invocation()
    try:
        result = cli.main(
            args=arguments,
            prog_name=PROGRAM,
            standalone_mode=False,
            auto_envvar_prefix="FLOWISE_TELEMETRY",
            obj=invocation,
        )
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has ended (``| head``); stdout must not be flushed again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        return report_error(error, invocation)
    return result if isinstance(result, int) else DONE
