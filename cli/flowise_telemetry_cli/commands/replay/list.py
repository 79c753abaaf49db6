"""``flowise-telemetry replay list``: list the replays of a sink."""

from __future__ import annotations

import json

import click

from flowise_telemetry_cli.commands.replay._options import sink_option
from flowise_telemetry_cli.options import json_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_consumer import list_runs
from flowise_telemetry_consumer.replay import open_target
from flowise_telemetry_consumer.replay.bounds import time_text
from flowise_telemetry_consumer.sinks import KeepsProgress

__all__ = ["list_"]


@click.command(name="list")
@sink_option
@click.option("--staging", metavar="NAME", help="List replays that were started with --staging NAME.")
@json_option("Print one JSON object a line.")
def list_(*, sink: str, staging: str | None, as_json: bool) -> None:
    """List all replays ever started in a sink, and how far each is.

    \b
    Example:
      flowise-telemetry replay list --sink sqlite:///copy.db
    """
    target = open_target(sink, staging)
    try:
        runs = list_runs(target)
    finally:
        target.close()
    if not isinstance(target, KeepsProgress):
        echo(f"{target.url} keeps no progress, so it knows of no replays", err=True)
    rows = []
    for run in runs:
        document = {
            "replay": run.id,
            "shard": None if run.shard is None else str(run.shard),
            "topic": run.offsets.topic,
            "state": "finished" if run.finished else "unfinished",
            "offsets_read": run.offsets_read,
            "offsets": run.offsets.offset_count,
            "started_at": time_text(run.started_at_ms),
            "updated_at": time_text(run.updated_at_ms),
        }
        if as_json:
            echo(json.dumps(document | {"arguments": run.request.to_json()}))
        rows.append(["" if value is None else value for value in document.values()])
    if not as_json and rows:
        echo(table(("replay", "shard", "topic", "state", "offsets read", "of", "started", "last written"), rows))
