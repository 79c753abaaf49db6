"""``flowise-telemetry schemas``: the group of the commands on the contract."""

from __future__ import annotations

import click

from flowise_telemetry_cli.command_group import CommandFolder

__all__ = ["schemas"]


@click.group(cls=CommandFolder, package=__name__)
def schemas() -> None:
    """Schemas of the events."""
