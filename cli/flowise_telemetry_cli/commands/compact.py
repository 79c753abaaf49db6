"""``flowise-telemetry compact``: merge small Parquet files into large ones, or the rows of an account."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict

import click

from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import json_option, schemas_option, umask_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_consumer.sinks import MergesAccount, open_sink
from flowise_telemetry_consumer.sinks.delta import DeltaSink
from flowise_telemetry_schemas import ConfigurationError

__all__ = ["compact"]


@click.command()
@umask_option
@schemas_option
@click.option("--sink", metavar="URL", required=True, help="Lake or database to compact.")
@json_option("Print the counts as one JSON object.")
@pass_invocation
def compact(invocation: Invocation, *, sink: str, as_json: bool) -> None:
    """Merge the small files of a lake, or the rows in which a database counts each stream's events.

    Lake: the files of each table and day become large ones, sorted by id, and files that nothing has named for a week
    are removed; what is removed cannot be read by time travel any more. Database: the account has one row for each
    stream and day afterwards, where every batch had added one. Consumers and readers go on meanwhile.

    \b
    Example:
      flowise-telemetry compact --sink delta:///events
    """
    with closing(open_sink(sink, invocation.catalog)) as target:
        if isinstance(target, DeltaSink):
            done = target.compact()
            counts = asdict(done)
            said = f"{done.files_before} files before, {done.files_after} after, {done.removed} unused removed"
        elif isinstance(target, MergesAccount):
            merged = target.merge_account()
            counts = merged._asdict()
            said = f"{merged.rows_before} rows of the account before, {merged.rows_after} after"
        else:
            raise ConfigurationError(f"{target.url} has nothing to compact", argument="sink")
        echo(json.dumps(counts) if as_json else f"{target.url}: {said}")
