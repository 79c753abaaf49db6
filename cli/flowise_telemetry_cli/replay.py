"""``flowise-telemetry replay``: what the topic holds, into a sink, once and exactly."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack

import click

from flowise_telemetry_cli.connection import (
    CLOSE_SECONDS,
    connection_options,
    kafka_settings,
    require_topic,
    topic_option,
)
from flowise_telemetry_cli.exit_status import DONE
from flowise_telemetry_cli.replay_display import ReplayDisplay
from flowise_telemetry_cli.replay_report import report, verdict
from flowise_telemetry_cli.signals import stopped_by_signals
from flowise_telemetry_cli.table import table
from flowise_telemetry_consumer import Bound, ReplayArguments, Selection, Shard, find_run, list_runs, time_text
from flowise_telemetry_consumer import replay as replay_topic
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import open_reader

__all__ = ["replay"]

_SINK_HELP = "Where to; see consume --help for the URLs."

no_progress_option = click.option(
    "--no-progress-seconds",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    help="Give up, incomplete, when nothing moved for so long.",
)
allow_missing_option = click.option(
    "--allow-missing",
    is_flag=True,
    help="Be content with what is left where retention has removed a part of the range.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="The result as one JSON object.")


@click.group(invoke_without_command=True)
@connection_options
@topic_option
@click.option("--sink", metavar="URL", help=_SINK_HELP)
@click.option("--from", "begin", metavar="WHEN", help="First offset or time: 1200, 2026-01-31T12:00Z, 2d ago.")
@click.option("--to", "end", metavar="WHEN", help="Offset or time to stop before.  [default: the end as it is now]")
@click.option("--partition", "partitions", type=click.IntRange(min=0), multiple=True, help="Only this one; repeatable.")
@click.option("--event", "events", multiple=True, metavar="NAME", help="Only events of this name; repeatable.")
@click.option("--app-version", "versions", multiple=True, help="Only events of this version of the app; repeatable.")
@click.option("--instance", "instances", multiple=True, metavar="ID", help="Only of this installation; repeatable.")
@click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Only events with this value in a field that all events have; repeatable.",
)
@click.option("--shard", "shard_text", metavar="I/N", help="Only the I-th of N shares of the partitions.")
@click.option("--anew", is_flag=True, help="From the start, also where an unfinished replay could go on.")
@allow_missing_option
@no_progress_option
@json_option
@click.pass_context
def replay(
    ctx: click.Context,
    *,
    topic: str,
    sink: str | None,
    begin: str | None,
    end: str | None,
    partitions: tuple[int, ...],
    events: tuple[str, ...],
    versions: tuple[str, ...],
    instances: tuple[str, ...],
    conditions: tuple[str, ...],
    shard_text: str | None,
    anew: bool,
    allow_missing: bool,
    no_progress_seconds: float,
    as_json: bool,
) -> int | None:
    """Write what the topic holds now, or a part of it, into a sink, beside the live consumers.

    What the sink has already stays as it is. A replay that was killed goes on where it was when the same command is
    run again. Records that are no valid events are counted, and not dead-lettered a second time. Exit status 3: the end
    was not reached, or retention had removed a part.

    \b
    Examples:
      flowise-telemetry replay --bootstrap-servers localhost:9092 --sink sqlite:///copy.db
      flowise-telemetry replay --from "2d ago" --event tool_created --sink postgresql://user@host/telemetry
    """
    if ctx.invoked_subcommand is not None:
        return None
    arguments = _arguments(
        topic=topic,
        begin=begin,
        end=end,
        partitions=partitions,
        events=events,
        versions=versions,
        instances=instances,
        conditions=conditions,
    )
    shard = None if shard_text is None else Shard.parse(shard_text)
    return _run(
        ctx,
        _required(sink),
        arguments,
        shard=shard,
        anew=anew,
        allow_missing=allow_missing,
        no_progress_seconds=no_progress_seconds,
        as_json=as_json,
    )


@replay.command(name="list")
@click.option("--sink", metavar="URL", help=_SINK_HELP)
@json_option
@click.pass_context
def list_replays(ctx: click.Context, *, sink: str | None, as_json: bool) -> None:
    """List the replays that ever began in a sink, and how far each is.

    \b
    Example:
      flowise-telemetry replay list --sink sqlite:///copy.db
    """
    target = open_sink(_required(sink, ctx))
    try:
        runs = list_runs(target)
    finally:
        target.close()
    rows = []
    for run in runs:
        document = {
            "replay": run.id,
            "shard": None if run.shard is None else str(run.shard),
            "topic": run.span.topic,
            "state": "finished" if run.finished else "unfinished",
            "offsets_read": run.offsets_read,
            "offsets": run.span.offsets,
            "started_at": time_text(run.started_at_ms),
            "updated_at": time_text(run.updated_at_ms),
        }
        if as_json:
            click.echo(json.dumps(document | {"arguments": run.arguments.document()}))
        rows.append(["" if value is None else value for value in document.values()])
    if not as_json and rows:
        click.echo(table(("replay", "shard", "topic", "state", "offsets read", "of", "started", "last written"), rows))


@replay.command()
@connection_options
@click.argument("run_id", metavar="ID")
@click.option("--sink", metavar="URL", help=_SINK_HELP)
@click.option("--shard", "shard_text", metavar="I/N", help="The shard that is to go on.")
@allow_missing_option
@no_progress_option
@json_option
@click.pass_context
def resume(
    ctx: click.Context,
    *,
    run_id: str,
    sink: str | None,
    shard_text: str | None,
    allow_missing: bool,
    no_progress_seconds: float,
    as_json: bool,
) -> int:
    """Go on with a replay that was stopped or killed, up to the end offsets of its first start.

    \b
    Example:
      flowise-telemetry replay resume 3f2a9c0d1b7e --sink sqlite:///copy.db
    """
    url = _required(sink, ctx)
    shard = None if shard_text is None else Shard.parse(shard_text)
    target = open_sink(url)
    try:
        run = find_run(target, run_id, shard)
    finally:
        target.close()
    if run.finished:
        click.echo(f"replay {run.id} is finished: nothing is left to do", err=True)
        return DONE
    return _run(
        ctx,
        url,
        run.arguments,
        shard=shard,
        run_id=run.id,
        allow_missing=allow_missing,
        no_progress_seconds=no_progress_seconds,
        as_json=as_json,
    )


def _required(sink: str | None, ctx: click.Context | None = None) -> str:
    """The sink's URL: of the command, or of ``replay`` before it."""
    if sink is None and ctx is not None and ctx.parent is not None:
        sink = ctx.parent.params.get("sink")
    if sink is None:
        raise click.UsageError("Missing option '--sink'.")
    return sink


def _arguments(
    *,
    topic: str,
    begin: str | None,
    end: str | None,
    partitions: tuple[int, ...],
    events: tuple[str, ...],
    versions: tuple[str, ...],
    instances: tuple[str, ...],
    conditions: tuple[str, ...],
) -> ReplayArguments:
    where = [*(("version", value) for value in versions), *(("instanceId", value) for value in instances)]
    for condition in conditions:
        name, equals, value = condition.partition("=")
        if not equals:
            raise click.UsageError(f"--where {condition!r} is no FIELD=VALUE.")
        where.append((name.strip(), value.strip()))
    now_ms = time.time_ns() // 1_000_000
    return ReplayArguments(
        topic=topic,
        begin=None if begin is None else Bound.parse(begin, now_ms=now_ms, option="--from"),
        end=None if end is None else Bound.parse(end, now_ms=now_ms, option="--to"),
        partitions=partitions,
        selection=Selection.of(catalog(), events=events, where=where),
    )


def _run(
    ctx: click.Context,
    url: str,
    arguments: ReplayArguments,
    *,
    shard: Shard | None = None,
    run_id: str | None = None,
    anew: bool = False,
    allow_missing: bool,
    no_progress_seconds: float,
    as_json: bool,
) -> int:
    settings = kafka_settings(ctx)
    with ExitStack() as opened:
        target = open_sink(url)
        opened.callback(target.close)
        reader = open_reader(settings)
        opened.callback(reader.close, timeout_seconds=CLOSE_SECONDS)
        require_topic(reader, arguments.topic)
        click.echo(f"replaying {arguments.topic} into {target.url}", err=True)
        display = opened.enter_context(ReplayDisplay(as_json=as_json))
        stop = opened.enter_context(stopped_by_signals())
        result = replay_topic(
            reader,
            target,
            catalog(),
            arguments,
            shard=shard,
            run_id=run_id,
            anew=anew,
            no_progress_seconds=no_progress_seconds,
            stop=stop,
            on_progress=display.show,
        )
    report(result, as_json=as_json)
    return verdict(result, allow_missing=allow_missing, sink_url=target.url)
