"""``flowise-telemetry log``: the local ledger of sent events."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import asdict
from pathlib import Path

import click

from flowise_telemetry.consent.status import status
from flowise_telemetry.ledger import LedgerEntry, read_ledger
from flowise_telemetry_cli.options import json_option
from flowise_telemetry_cli.output.safe import echo

__all__ = ["log"]


@click.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--last", type=click.IntRange(min=1), default=20, show_default=True, help="Number of events, newest last."
)
@json_option("Print the whole entry, one JSON object an event.")
def log(*, file: Path | None, last: int, as_json: bool) -> None:
    """Show the events in the local ledger: their records, and where on the topic each was stored.

    FILE is the ledger that FLOWISE_TELEMETRY_LOG named for the app; the default is what that variable names here.

    \b
    Example:
      FLOWISE_TELEMETRY_LOG=telemetry.log flowise-telemetry log --last 5
    """
    path = file or status().ledger
    if path is None:
        raise click.UsageError("no ledger: give a FILE, or set FLOWISE_TELEMETRY_LOG for the app and here")
    try:
        entries = deque(read_ledger(path), maxlen=last)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror}") from error
    for entry in entries:
        echo(json.dumps(asdict(entry), default=str) if as_json else _line(entry))


def _line(entry: LedgerEntry) -> str:
    place = "" if entry.partition is None else f"[{entry.partition}]@{entry.offset}"
    return f"{entry.topic}{place} {entry.event} {json.dumps(entry.record)}"
