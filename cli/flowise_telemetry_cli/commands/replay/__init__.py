"""``flowise-telemetry replay``: the group; without a subcommand it replays, see ``_run``."""

from __future__ import annotations

from typing import Any

import click

from flowise_telemetry_cli.command_group import CommandFolder
from flowise_telemetry_cli.commands.replay._run import run, run_options
from flowise_telemetry_cli.invocation import Invocation

__all__ = ["replay"]


@click.group(cls=CommandFolder, package=__name__, invoke_without_command=True)
@run_options
@click.pass_context
def replay(ctx: click.Context, /, **options: Any) -> int | None:
    """Write the topic's current contents, or a part of them, into a sink, beside the live consumers.

    Events that the sink already has stay as they are. Running the same command again resumes a killed replay. Invalid
    records are counted, not dead-lettered a second time. Exit status 3: the end was not reached, because broker or sink
    were unavailable or another process runs this replay, or retention deleted part of the range.

    \b
    Examples:
      flowise-telemetry replay --bootstrap-servers localhost:9092 --sink sqlite:///copy.db
      flowise-telemetry replay --from "2d ago" --event tool_created --sink postgresql://user@host/telemetry
      flowise-telemetry replay --source delta:///archive --sink postgresql://user@host/telemetry
      flowise-telemetry replay --sink kafka://copy --sink-bootstrap-servers newcluster:9092
    """
    return None if ctx.invoked_subcommand is not None else run(ctx.ensure_object(Invocation), **options)
