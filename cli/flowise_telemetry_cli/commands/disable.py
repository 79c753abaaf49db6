"""``flowise-telemetry disable``: store the choice that nothing is sent."""

from __future__ import annotations

from pathlib import Path

import click

from flowise_telemetry_cli.commands._choice import env_file_option, store

__all__ = ["disable"]


@click.command()
@env_file_option
def disable(*, env_file: Path | None) -> None:
    """Turn telemetry off for this user, for good. Deletes the local secret and the events waiting in the spool.

    \b
    Example:
      flowise-telemetry disable
    """
    store(False, env_file)
