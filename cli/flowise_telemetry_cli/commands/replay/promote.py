"""``flowise-telemetry replay promote``: make staging tables the live ones."""

from __future__ import annotations

import contextlib

import click

from flowise_telemetry_cli.commands.replay._options import sink_option
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import schemas_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_consumer.replay import require_finished
from flowise_telemetry_consumer.sinks import Readable, Stageable, open_sink
from flowise_telemetry_consumer.sinks.registry import no_staging

__all__ = ["promote"]


@click.command()
@click.argument("name")
@sink_option
@schemas_option
@click.option("--force", is_flag=True, help="Promote staging tables whose replay did not reach its end.")
@pass_invocation
def promote(invocation: Invocation, *, name: str, sink: str, force: bool) -> None:
    """Swap the live tables with the staging tables that a replay filled with --staging NAME, in one transaction.

    Readers see all old rows or all new ones. Promoting NAME again brings the old ones back. Tables that a replay has
    not filled to its end are refused, unless --force is given.

    \b
    Example:
      flowise-telemetry replay promote rebuilt --sink postgresql://user@host/telemetry
    """
    target = open_sink(sink, invocation.catalog)
    if not isinstance(target, Stageable):
        raise no_staging(target)
    try:
        if not force:
            with contextlib.closing(target.staging(name)) as staging:
                require_finished(staging)
        target.promote(name)
        counts = target.counts() if isinstance(target, Readable) else {}
    finally:
        target.close()
    if counts:
        echo(table(("event", "rows now"), sorted(counts.items())))
    echo(f"{target.url}: promoted {name}, which now holds the tables that were live before", err=True)
