"""``flowise-telemetry enable``: store the choice that telemetry may be sent."""

from __future__ import annotations

from pathlib import Path

import click

from flowise_telemetry_cli.commands._choice import env_file_option, store

__all__ = ["enable"]


@click.command()
@env_file_option
def enable(*, env_file: Path | None) -> None:
    """Store the choice that telemetry may be sent for this user. An opt-out in the environment still wins.

    \b
    Example:
      flowise-telemetry enable
    """
    store(True, env_file)
