"""``flowise-telemetry prune``: remove old events from a sink."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack

import click

from flowise_telemetry_cli.commands._unknown import unknown_tables, warn_of
from flowise_telemetry_cli.errors import DONE, INCOMPLETE
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import json_option, schemas_option, umask_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_cli.removal import removed_by
from flowise_telemetry_consumer.replay.bounds import moment_ms, time_text
from flowise_telemetry_consumer.sinks import Prunable, open_sink
from flowise_telemetry_consumer.sinks.registry import no_pruning

__all__ = ["prune"]


@click.command()
@umask_option
@schemas_option
@click.option("--sink", metavar="URL", required=True, help="Sink to remove events from.")
@click.option(
    "--before",
    metavar="DATE|AGE",
    required=True,
    help="Remove what occurred before this time, in UTC, or is older than this age: 2026-01-31, 90d.",
)
@click.option("--dry-run", is_flag=True, help="Count the events; change nothing.")
@json_option("Print the counts as one JSON object.")
@pass_invocation
def prune(invocation: Invocation, *, sink: str, before: str, dry_run: bool, as_json: bool) -> int:
    """Remove the events that occurred before a time, in small steps beside consumers and readers.

    Consumers and replays go on as before; a replay of old offsets brings the events back. After a stop, start it again.
    A Delta lake frees the space with a compact a week later. Tables of events that --schemas does not name stay as they
    are, and a warning names them.

    \b
    Example:
      flowise-telemetry prune --sink sqlite:///telemetry.db --before 90d --dry-run
    """
    before_ms = moment_ms(before, now_ms=time.time_ns() // 1_000_000, argument="before")
    with ExitStack() as opened:
        target = open_sink(sink, invocation.catalog)
        opened.callback(target.close)
        if not isinstance(target, Prunable):
            raise no_pruning(target)
        removed, stopped = removed_by(target.prune(before_ms, dry_run=dry_run), "events before that time")
        unknown = () if stopped else unknown_tables(target)
    done = "would be removed" if dry_run else "removed"
    if as_json:
        counts = dict(sorted(removed.items()))
        echo(
            json.dumps(
                {
                    "before": time_text(before_ms),
                    "dry_run": dry_run,
                    "complete": not stopped,
                    "removed": counts,
                    "unknown_tables": list(unknown),
                }
            )
        )
    elif removed:
        echo(table(("event", done), sorted(removed.items())))
    echo(f"{target.url}: {removed.total():,} events before {time_text(before_ms)} {done}", err=True)
    warn_of(unknown, "nothing was removed from")
    if stopped:
        echo("error: incomplete: stopped before the end; start it again", err=True)
    return INCOMPLETE if stopped else DONE
