"""``flowise-telemetry demo``: the whole pipeline in one process, for a first look."""

from __future__ import annotations

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
def demo(*, events: int, database: Path) -> int:
    """Run everything once, in this process: an embedded Kafka broker, an example app, the consumer, a SQLite file.

    The events are invented and stay in this process and that file, so settings and opt-outs of this machine do not
    apply. A few malformed records are sent on purpose.

    \b
    Example:
      flowise-telemetry demo --events 20000
    """
    # Imported here: ``preview`` takes its events from this folder and must not need polars.
    from flowise_telemetry_cli.commands.demo.pipeline import run_demo

    return run_demo(events, database)
