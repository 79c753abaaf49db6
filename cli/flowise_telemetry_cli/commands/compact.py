"""``flowise-telemetry compact``: small Parquet files merged into large ones."""

from __future__ import annotations

import json

import click

from flowise_telemetry_cli.options import json_option
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_consumer.sinks.parquet import ParquetSink
from flowise_telemetry_schemas import ConfigurationError

__all__ = ["compact"]


@click.command()
@click.option(
    "--sink", metavar="URL", required=True, help="Data set to compact: parquet:///folder, parquet+s3://bucket/prefix."
)
@json_option("Print the counts as one JSON object.")
def compact(*, sink: str, as_json: bool) -> None:
    """Merge the small Parquet files of each event and day, sorted by id, each event once.

    Consumers may keep writing meanwhile. A program that reads while files are replaced may see events twice or miss a
    file; it reads again then.

    \b
    Example:
      flowise-telemetry compact --sink parquet:///events
    """
    target = open_sink(sink)
    if not isinstance(target, ParquetSink):
        raise ConfigurationError(f"{target.url} is not a parquet sink, and only those are compacted", argument="sink")
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
        click.echo(f"{result.duplicates} duplicate events removed")
