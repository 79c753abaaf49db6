"""``flowise-telemetry demo``: a walk through the whole pipeline on this machine, for a first look."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from flowise_telemetry_cli.options import umask_option

__all__ = ["demo"]


@click.command()
@umask_option
@click.option(
    "--events", type=click.IntRange(5, 1_000_000), default=5_000, show_default=True, help="Number of events to send."
)
@click.option(
    "--database",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(".demo/telemetry.db"),
    show_default=True,
    help="SQLite file for the events; an existing one is added to.",
)
@click.option("--pause", is_flag=True, help="Wait for Enter after each step; only on a terminal.")
def demo(*, events: int, database: Path, pause: bool) -> int:
    """Walk through the pipeline in four steps, each with what is done, what to look at, and what was found.

    Events are sent, stored and shown; telemetry is switched off; a broker stops and nothing is lost; a field leaves and
    one cannot. It needs neither Docker nor a network, as the Kafka broker runs in this process, but the extras consumer
    and librdkafka.

    The events are invented and stay on this machine, so settings and opt-outs do not apply. Exit status 1 if anything
    was found that was not expected.

    \b
    Example:
      flowise-telemetry demo --pause
    """
    if pause and not sys.stdin.isatty():
        raise click.UsageError("--pause waits for Enter, which needs a terminal; leave it out")
    # Imported here: ``preview`` takes its events from this folder and must not need polars.
    from flowise_telemetry_cli.commands.demo.walk import walk

    return walk(events, database, pause=pause)
