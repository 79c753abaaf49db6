"""``flowise-telemetry compact``: merge small Parquet files into large ones."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from flowise_telemetry_cli.options import json_option, umask_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_consumer.sinks.delta import DeltaSink
from flowise_telemetry_schemas import ConfigurationError

__all__ = ["compact"]


@click.command()
@umask_option
@click.option(
    "--sink", metavar="URL", required=True, help="Lake to compact: delta:///folder, delta+s3://bucket/prefix."
)
@json_option("Print the counts as one JSON object.")
def compact(*, sink: str, as_json: bool) -> None:
    """Merge the small files of each table and day, sorted by id, and remove files that nothing has named for a week.

    Consumers and readers go on meanwhile. What is removed cannot be read by time travel any more.

    \b
    Example:
      flowise-telemetry compact --sink delta:///events
    """
    target = open_sink(sink)
    if not isinstance(target, DeltaSink):
        raise ConfigurationError(f"{target.url} is not a Delta sink, and only those can be compacted", argument="sink")
    try:
        done = target.compact()
    finally:
        target.close()
    if as_json:
        echo(json.dumps(asdict(done)))
        return
    echo(f"{target.url}: {done.files_before} files before, {done.files_after} after, {done.removed} unused removed")
