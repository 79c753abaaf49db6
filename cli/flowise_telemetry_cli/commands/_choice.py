"""The user's stored choice about telemetry, which ``enable`` and ``disable`` write."""

from __future__ import annotations

import os
from pathlib import Path

import click

from flowise_telemetry.consent.status import status
from flowise_telemetry.consent.stored_choice import store_choice
from flowise_telemetry_cli.output.safe import echo

__all__ = ["env_file_option", "store"]

env_file_option = click.option(
    "--env-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The .env file that the app reads.  [default: .env in this folder]",
)


def store(enabled: bool, env_file: Path | None) -> None:
    """Store the choice and print where; also what overrides it here, if anything does."""
    try:
        stored = store_choice(enabled, environ=os.environ, env_file=env_file)
    except OSError as error:
        # Ours has a text of its own and no file; that of the system has both.
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        raise click.ClickException(f"the choice cannot be stored: {reason}") from error
    now = status(env_file=env_file)
    if now.enabled == enabled:
        echo(f"telemetry is {'on' if enabled else 'off'} for this user ({stored.path})")
    else:
        echo(f"stored for this user ({stored.path})")
        echo(f"telemetry is still {'on' if now.enabled else 'off'} here: {now.decided_by}", err=True)
    for path in stored.deleted:
        echo(f"deleted {path}")
