"""``flowise-telemetry dlq``: the group of the commands on dead letters."""

from __future__ import annotations

import click

from flowise_telemetry_cli.command_group import CommandFolder

__all__ = ["dlq"]


@click.group(cls=CommandFolder, package=__name__)
def dlq() -> None:
    """Dead letters: records that could not be written, and why."""
