"""How the commands of ``replay`` end where something is away: incomplete, as starting them again mends it."""

from __future__ import annotations

from typing import Any

import click

from flowise_telemetry_cli.errors import INCOMPLETE
from flowise_telemetry_consumer import SinkInUseError
from flowise_telemetry_schemas import TelemetryError

__all__ = ["ReplayGroup"]


class ReplayGroup(click.Group):
    """Ends with ``INCOMPLETE`` and one line on stderr where no broker answers, the sink is away or another has it.

    What started the command, such as a Kubernetes Job, may then start it again; all else is raised as it is.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """The command's exit status."""
        try:
            return super().invoke(ctx)
        except TelemetryError as error:
            if not (error.retryable or isinstance(error, SinkInUseError)):
                raise
            message = " ".join(error.message.split())
            click.echo(f"error: incomplete: {message}: it can be started again", err=True)
            return INCOMPLETE
