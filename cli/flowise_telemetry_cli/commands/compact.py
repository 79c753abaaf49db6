"""``flowise-telemetry compact``: few large files in place of many small ones."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_consumer.sinks.delta import DeltaSink
from flowise_telemetry_schemas import ConfigurationError

__all__ = ["compact"]


@click.command()
@click.option("--sink", metavar="URL", required=True, help="The lake: delta:///folder, delta+s3://bucket/prefix.")
@click.option("--json", "as_json", is_flag=True, help="The counts as one JSON object.")
def compact(*, sink: str, as_json: bool) -> None:
    """Merge the small files of each table and day, sorted by id, and remove files that nothing has named for a week.

    Consumers and readers go on meanwhile. What is removed cannot be read by time travel any more.

    \b
    Example:
      flowise-telemetry compact --sink delta:///events
    """
    target = open_sink(sink)
    if not isinstance(target, DeltaSink):
        raise ConfigurationError(f"only a delta sink is compacted, and {target.url} is none")
    try:
        done = target.compact()
    finally:
        target.close()
    if as_json:
        click.echo(json.dumps(asdict(done)))
        return
    click.echo(
        f"{target.url}: {done.files_before} files before, {done.files_after} after, {done.removed} unused removed"
    )
