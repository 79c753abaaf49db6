"""``flowise-telemetry export``: what a sink holds, as plain files."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from pathlib import Path

import click

from flowise_telemetry_cli.commands._unknown import unknown_tables, warn_of
from flowise_telemetry_cli.errors import DONE, INCOMPLETE
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import json_option, schemas_option, umask_option
from flowise_telemetry_cli.output.progress import ProgressDisplay, Status, rate_text
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_cli.signals import stopped_by_signals
from flowise_telemetry_consumer.export import FORMATS, ExportResult, export_events
from flowise_telemetry_consumer.replay.bounds import moment_ms
from flowise_telemetry_consumer.retry import RunControl
from flowise_telemetry_consumer.sinks import open_sink

__all__ = ["export"]


@click.command()
@umask_option
@schemas_option
@click.option("--sink", metavar="URL", required=True, help="Sink to read: any that can be read back.")
@click.option(
    "--out", metavar="DIR", required=True, type=click.Path(path_type=Path), help="Folder to make, new or empty."
)
@click.option(
    "--format", "file_format", type=click.Choice(FORMATS), default=FORMATS[0], show_default=True, help="Kind of files."
)
@click.option("--event", "events", multiple=True, metavar="NAME", help="Only events of this name; repeatable.")
@click.option(
    "--since",
    metavar="DATE|AGE",
    help="Only what occurred at this time or later, in UTC, or is not older than this age: 2026-01-31, 90d.",
)
@click.option("--overwrite", is_flag=True, help="Replace the export that the folder holds.")
@json_option("Print the counts as one JSON object.")
@pass_invocation
def export(
    invocation: Invocation,
    *,
    sink: str,
    out: Path,
    file_format: str,
    events: tuple[str, ...],
    since: str | None,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Write what a sink holds, or a part of it, to plain files, a folder for each event and day.

    The folder appears once it is whole: an export that was stopped or killed leaves nothing there, and is started again
    by the same command. Graphs are nested columns in Parquet, JSON in CSV. replay --source reads the folder back.

    \b
    Example:
      flowise-telemetry export --sink sqlite:///telemetry.db --out events --event prediction_sent --since 90d
    """
    since_ms = None if since is None else moment_ms(since, now_ms=time.time_ns() // 1_000_000, argument="since")
    with ExitStack() as opened:
        source = open_sink(sink, invocation.catalog)
        opened.callback(source.close)
        display = opened.enter_context(ProgressDisplay(_status))
        stop = opened.enter_context(stopped_by_signals())
        result = export_events(
            source,
            out,
            invocation.catalog,
            file_format=file_format,
            events=events,
            since_ms=since_ms,
            overwrite=overwrite,
            control=RunControl(stop=stop),
            on_report=display.show,
        )
        unknown = () if events or result.incomplete is not None else unknown_tables(source)
    warn_of(unknown, "nothing was exported of")
    if result.incomplete is not None:
        echo(f"error: incomplete: {result.incomplete}: nothing was left in {out}; run it again", err=True)
        return INCOMPLETE
    if as_json:
        echo(json.dumps({"out": str(out), "format": file_format, "rows": result.rows, "files": result.files}))
    else:
        echo(
            table(("event", "rows", "files"), [(name, rows, result.files[name]) for name, rows in result.rows.items()])
        )
    echo(
        f"{source.url}: {sum(result.rows.values()):,} events in {sum(result.files.values()):,} files in {out}", err=True
    )
    return DONE


def _status(result: ExportResult, seconds: float) -> Status:
    rate = rate_text(result.read, seconds)
    return Status(f"exported {result.read:,} of {result.total:,} events" + (f", {rate}" if rate else ""))
