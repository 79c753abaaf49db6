"""``flowise-telemetry forget``: delete what this installation keeps of itself, and print its ids."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from flowise_telemetry.consent.forgetting import kept_of
from flowise_telemetry.consent.status import status
from flowise_telemetry_cli.commands._choice import env_file_option
from flowise_telemetry_cli.errors import DONE, INCOMPLETE
from flowise_telemetry_cli.options import json_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table

__all__ = ["forget"]


@click.command()
@env_file_option
@click.option("--dry-run", is_flag=True, help="Print the ids and the files; delete nothing.")
@json_option("Print the ids and the files as one JSON object.")
def forget(*, env_file: Path | None, dry_run: bool, as_json: bool) -> int:
    """Delete the local secret, the spool and the ledger, and print the ids of the last 24 months.

    Hand the ids to whoever runs the sink: they erase what was sent under them (flowise-telemetry erase). Nobody
    can make these ids again. A running app sends nothing until it is restarted,
    and then under a new one.

    \b
    Example:
      flowise-telemetry forget --dry-run
      flowise-telemetry forget > ids.txt
    """
    kept = kept_of(environ=os.environ, env_file=env_file)
    files = [*kept.files, *kept.spool_files]
    if as_json:
        ids = [{"month": month, "instance_id": its} for month, its in kept.ids]
        echo(json.dumps({"dry_run": dry_run, "ids": ids, "files": [str(path) for path in files]}))
    elif kept.ids:
        echo(table(("month", "instance id"), kept.ids))
    # Before anything is deleted: nobody can make them again.
    sys.stdout.flush()
    if dry_run:
        for path in files:
            echo(f"would delete {path}", err=True)
        echo("dry run: nothing was changed", err=True)
        return DONE
    try:
        deleted = kept.forget()
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        raise click.ClickException(f"not all is deleted: {reason}") from error
    for path in deleted:
        echo(f"deleted {path}", err=True)
    if not kept.ids:
        echo("no ids: this installation has no secret", err=True)
    if status(env_file=env_file).enabled:
        echo("telemetry is still on here, under a new id; flowise-telemetry disable turns it off", err=True)
    if kept.given_by is not None:
        echo(f"error: incomplete: {kept.given_by} gives the secret: as long as it does, the ids stay these", err=True)
        return INCOMPLETE
    return DONE
