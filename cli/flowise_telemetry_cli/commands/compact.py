"""``flowise-telemetry compact``: few large files in place of many small ones."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_consumer.sinks.delta import DeltaSink
from flowise_telemetry_consumer.sinks.parquet import ParquetSink
from flowise_telemetry_schemas import ConfigurationError

__all__ = ["compact"]


@click.command()
@click.option(
    "--sink", metavar="URL", required=True, help="The data set: parquet:///folder, parquet+s3://bucket/prefix."
)
@click.option("--json", "as_json", is_flag=True, help="The counts as one JSON object.")
def compact(*, sink: str, as_json: bool) -> None:
    """Merge the small Parquet files of each event and day, sorted by id, each event once.

    Consumers may go on writing. A program that reads in the moment in which files are exchanged may see events twice or
    miss a file, and reads again then.

    \b
    Example:
      flowise-telemetry compact --sink parquet:///events
    """
    target = open_sink(sink)
    if isinstance(target, DeltaSink):
        _compact_delta(target, as_json=as_json)
        return
    if not isinstance(target, ParquetSink):
        raise ConfigurationError(f"only a delta sink or a parquet sink is compacted, and {target.url} is none")
    try:
        result = target.compact()
    finally:
        target.close()
    if as_json:
        counts = {"files_before": result.files_before, "files_after": result.files_after}
        click.echo(json.dumps({**counts, "duplicates": result.duplicates}))
        return
    click.echo(f"{target.url}: {result.files_before} files before, {result.files_after} after")
    if result.duplicates:
        click.echo(f"{result.duplicates} events had been there twice and are there once")


def _compact_delta(target: DeltaSink, *, as_json: bool) -> None:
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
