"""``flowise-telemetry import``: events from files into a sink."""  # noqa: N999 - the file is the command as it is typed

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import click

from flowise_telemetry_cli.commands._archive import (
    FirstRejects,
    archive_verdict,
    rejects_beside,
    report_archive,
    report_archive_plan,
)
from flowise_telemetry_cli.commands._posthog import POSTHOG, PosthogLines
from flowise_telemetry_cli.commands.replay._display import archive_status
from flowise_telemetry_cli.commands.replay._options import no_progress_option
from flowise_telemetry_cli.commands.replay._topic import open_topic_sink, report_times, target_settings
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import (
    SINK_HELP,
    connection_options,
    json_option,
    kafka_settings,
    schemas_option,
    umask_option,
)
from flowise_telemetry_cli.output.progress import ProgressDisplay
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.signals import stopped_by_signals
from flowise_telemetry_consumer.archives.file_archive import FORMATS, Format
from flowise_telemetry_consumer.archives.rejects import RejectsFile
from flowise_telemetry_consumer.process import separate_stderr, tune_gc
from flowise_telemetry_consumer.replay import (
    TOPIC_SCHEME,
    Bound,
    ImportRequest,
    RecordFilter,
    import_archive,
    import_files,
    plan_archive,
)
from flowise_telemetry_consumer.replay.bounds import require_order
from flowise_telemetry_consumer.retry import RunControl
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_consumer.sinks.port import Sink
from flowise_telemetry_schemas import ConfigurationError

__all__ = ["import_"]


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@umask_option
@schemas_option
@click.option("--sink", metavar="URL", required=True, help=SINK_HELP)
@click.option(
    "--format",
    "form",
    type=click.Choice((*FORMATS, POSTHOG)),
    help="Format of the files; posthog: lines of JSON as PostHog exports events.  [default: by the name, .csv or else"
    " JSON lines]",
)
@click.option("--event", metavar="NAME", help="Event of all rows of CSV that has no column event.")
@click.option("--from", "begin", metavar="TIME", help="Only events that occurred at or after this time.")
@click.option("--to", "end", metavar="TIME", help="Only events that occurred before this time.")
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for lines that are no valid event.  [default: NAME.rejects.jsonl in this folder]",
)
@click.option("--dry-run", is_flag=True, help="Read and check everything; change nothing.")
@click.option("--restart", is_flag=True, help="Start over even if an unfinished import could be resumed.")
@click.option("--sink-bootstrap-servers", metavar="HOST:PORT,…", help="Brokers of the topic in --sink kafka://topic.")
@connection_options
@no_progress_option
@json_option("Print the result as one JSON object.")
@pass_invocation
def import_(
    invocation: Invocation,
    *,
    files: tuple[str, ...],
    sink: str,
    form: Format | Literal["posthog"] | None,
    event: str | None,
    begin: str | None,
    end: str | None,
    rejects: Path | None,
    dry_run: bool,
    restart: bool,
    sink_bootstrap_servers: str | None,
    no_progress_seconds: float,
    as_json: bool,
) -> int:
    """Write the events of files, or of standard input (-), into a sink: JSON lines or CSV, also .gz and .zst.

    Every field is checked as a consumer checks it, the envelope too: occurredAt from 2020-01-01 to 2099-12-31. An event
    without eventId gets one made of its content, so that importing twice writes it once. Lines that are no valid event
    are set aside with line, field and rule; exit status 3. Running the same command again resumes a killed import.

    PostHog's events are reduced as the gateway reduces them, under the same secret: one that came live is not doubled.

    \b
    Example:
      flowise-telemetry import history.jsonl.gz --sink postgresql://user@host/telemetry --dry-run
      flowise-telemetry import tool_created.csv --sink sqlite:///telemetry.db
      zcat old/*.gz | flowise-telemetry import - --sink delta:///archive
      flowise-telemetry import events.jsonl.gz --format posthog --sink sqlite:///telemetry.db
    """
    if event is not None and event not in invocation.catalog.names:
        raise ConfigurationError(
            f"there is no event of this name; there are: {', '.join(invocation.catalog.names)}", argument="event"
        )
    lines = None
    if form == POSTHOG:
        form, lines = None, PosthogLines.of(invocation, keeps_secret=not dry_run)
    request = ImportRequest(files=files, form=form, event=event, translate=lines, record_filter=_times(begin, end))
    separate_stderr()
    tune_gc()
    with ExitStack() as opened:
        stop = opened.enter_context(stopped_by_signals())
        control = RunControl(no_progress_seconds, stop)
        onto_topic = sink.startswith(TOPIC_SCHEME)
        if dry_run:
            target = None if onto_topic else open_sink(sink, invocation.catalog)
            if target is not None:
                opened.callback(target.close)
            with ProgressDisplay(archive_status) as display:
                plan = plan_archive(
                    import_archive(request, invocation.catalog),
                    target,
                    invocation.catalog,
                    request.record_filter,
                    control=control,
                    on_report=display.show,
                    on_rejects=FirstRejects().keep,
                )
            return report_archive_plan(plan, as_json=as_json, dropped=lines.dropped() if lines else None)
        place: Sink
        if onto_topic:
            source = None if sink_bootstrap_servers else kafka_settings(invocation)
            place = open_topic_sink(opened, invocation, target_settings(source, sink_bootstrap_servers), sink)
        else:
            place = open_sink(sink)
            opened.callback(place.close)
        aside = RejectsFile(rejects or rejects_beside(_name(files)))
        echo(f"importing {_named(files)} into {place.url}", err=True)
        with ProgressDisplay(archive_status) as display:
            result = import_files(
                request,
                place,
                invocation.catalog,
                rejects=aside,
                restart=restart,
                control=control,
                on_resume=lambda: echo("note: goes on where it stopped; --restart begins anew", err=True),
                on_report=display.show,
            )
    dropped = lines.dropped() if lines else None
    report_archive(result, as_json=as_json, rejects=aside, to_stderr=sink == "jsonl:-", dropped=dropped)
    report_times(place)
    return archive_verdict(result, aside)


def _times(begin: str | None, end: str | None) -> RecordFilter:
    now_ms = time.time_ns() // 1_000_000
    bounds = {
        argument: Bound.parse(text, now_ms=now_ms, argument=argument)
        for argument, text in (("begin", begin), ("end", end))
        if text is not None
    }
    for argument, bound in bounds.items():
        if bound.time_ms is None:
            raise ConfigurationError("a file has no offsets: give a time (2026-01-31T12:00Z)", argument=argument)
    first, last = bounds.get("begin"), bounds.get("end")
    require_order(first, last)
    return RecordFilter(from_ms=None if first is None else first.time_ms, to_ms=None if last is None else last.time_ms)


def _name(files: tuple[str, ...]) -> str:
    return "import" if len(files) > 1 or files[0] == "-" else files[0]


def _named(files: tuple[str, ...]) -> str:
    return f"{len(files)} files" if len(files) > 1 else "standard input" if files[0] == "-" else files[0]
