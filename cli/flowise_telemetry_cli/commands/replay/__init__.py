"""``flowise-telemetry replay``: what the topic holds, into a sink, once and exactly."""

from __future__ import annotations

import json

import click

from flowise_telemetry_cli.commands.replay._execute import Job, run_archive, run_copy, run_plan, run_replay
from flowise_telemetry_cli.commands.replay._group import ReplayGroup
from flowise_telemetry_cli.commands.replay._options import (
    allow_missing_option,
    json_option,
    no_progress_option,
    range_options,
    request_of,
    shard_of,
)
from flowise_telemetry_cli.commands.replay._report import missing_verdict
from flowise_telemetry_cli.options import connection_options, kafka_settings, topic_option
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_consumer import Shard, find_run, list_runs, time_text
from flowise_telemetry_consumer.replay import TOPIC_SCHEME, open_target
from flowise_telemetry_consumer.sinks import KeepsProgress, Readable, Stageable, open_sink
from flowise_telemetry_consumer.sinks.registry import no_staging

__all__ = ["replay"]

_SINK_HELP = "Where to; see consume --help for the URLs."


@click.group(cls=ReplayGroup, invoke_without_command=True)
@connection_options
@topic_option
@click.option("--sink", metavar="URL", help=_SINK_HELP)
@range_options
@click.option("--source", "source_url", metavar="URL", help="Read this sink instead of the topic: delta:///archive.")
@click.option("--staging", metavar="NAME", help="Into tables of that name beside the live ones; see replay promote.")
@click.option("--sink-bootstrap-servers", metavar="HOST:PORT,…", help="Where the topic of --sink kafka://topic is.")
@click.option("--dry-run", is_flag=True, help="Say what it would do; change nothing.")
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes to share the work."
)
@click.option("--shard", "shard_text", metavar="I/N", help="Only the I-th of N shares of the partitions.")
@click.option(
    "--shard-count",
    type=click.IntRange(min=1),
    help="N, where JOB_COMPLETION_INDEX of a Kubernetes Indexed Job says which share this is.",
)
@click.option("--restart", is_flag=True, help="From the start, also where an unfinished replay could go on.")
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
    source_url: str | None,
    staging: str | None,
    sink_bootstrap_servers: str | None,
    dry_run: bool,
    workers: int,
    shard_text: str | None,
    shard_count: int | None,
    restart: bool,
    allow_missing: bool,
    no_progress_seconds: float,
    as_json: bool,
) -> int | None:
    """Write what the topic holds now, or a part of it, into a sink, beside the live consumers.

    What the sink has already stays as it is. A replay that was killed goes on where it was when the same command is
    run again. Records that are no valid events are counted, and not dead-lettered a second time. Exit status 3: the end
    was not reached, as broker or sink were away or another process has this replay, or retention had removed a part.

    \b
    Examples:
      flowise-telemetry replay --bootstrap-servers localhost:9092 --sink sqlite:///copy.db
      flowise-telemetry replay --from "2d ago" --event tool_created --sink postgresql://user@host/telemetry
      flowise-telemetry replay --source delta:///archive --sink postgresql://user@host/telemetry
      flowise-telemetry replay --sink kafka://copy --sink-bootstrap-servers newcluster:9092
    """
    if ctx.invoked_subcommand is not None:
        return None
    request = request_of(
        topic=topic,
        begin=begin,
        end=end,
        partitions=partitions,
        events=events,
        versions=versions,
        instances=instances,
        conditions=conditions,
    )
    job = Job(
        sink_url=_required(sink),
        request=request,
        shard=shard_of(shard_text, shard_count),
        staging=staging,
        workers=workers,
        restart=restart,
        allow_missing=allow_missing,
        no_progress_seconds=no_progress_seconds,
        as_json=as_json,
        sink_servers=sink_bootstrap_servers,
    )
    onto_topic = job.sink_url.startswith(TOPIC_SCHEME)
    if source_url is not None:
        _refuse_for_archives(job, dry_run=dry_run)
        return run_archive(kafka_settings(ctx) if onto_topic and not sink_bootstrap_servers else None, source_url, job)
    if onto_topic:
        if dry_run or staging is not None or workers > 1:
            raise click.UsageError("--dry-run, --staging and --workers are not for a sink that is a topic.")
        return run_copy(kafka_settings(ctx), job)
    return run_plan(kafka_settings(ctx), job) if dry_run else run_replay(kafka_settings(ctx), job)


@replay.command(name="list")
@click.option("--sink", metavar="URL", help=_SINK_HELP)
@click.option("--staging", metavar="NAME", help="Those that were started with --staging NAME.")
@json_option
@click.pass_context
def list_replays(ctx: click.Context, *, sink: str | None, staging: str | None, as_json: bool) -> None:
    """List the replays that ever began in a sink, and how far each is.

    \b
    Example:
      flowise-telemetry replay list --sink sqlite:///copy.db
    """
    target = open_target(_required(sink, ctx), staging)
    try:
        runs = list_runs(target)
    finally:
        target.close()
    if not isinstance(target, KeepsProgress):
        click.echo(f"{target.url} keeps no progress, so it knows of no replays", err=True)
    rows = []
    for run in runs:
        document = {
            "replay": run.id,
            "shard": None if run.shard is None else str(run.shard),
            "topic": run.offsets.topic,
            "state": "finished" if run.finished else "unfinished",
            "offsets_read": run.offsets_read,
            "offsets": run.offsets.offset_count,
            "started_at": time_text(run.started_at_ms),
            "updated_at": time_text(run.updated_at_ms),
        }
        if as_json:
            click.echo(json.dumps(document | {"arguments": run.request.to_json()}))
        rows.append(["" if value is None else value for value in document.values()])
    if not as_json and rows:
        click.echo(table(("replay", "shard", "topic", "state", "offsets read", "of", "started", "last written"), rows))


@replay.command()
@connection_options
@click.argument("run_id", metavar="ID")
@click.option("--sink", metavar="URL", help=_SINK_HELP)
@click.option("--staging", metavar="NAME", help="The name that it was started with.")
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes to share the work."
)
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
    staging: str | None,
    workers: int,
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
    target = open_target(url, staging)
    try:
        run = find_run(target, run_id, shard)
    finally:
        target.close()
    if run.finished:
        click.echo(f"replay {run.id} is finished: nothing is left to do", err=True)
        return missing_verdict(run.resolved.missing, allow_missing=allow_missing)
    job = Job(
        sink_url=url,
        request=run.request,
        shard=shard,
        run_id=run.id,
        staging=staging,
        workers=workers,
        allow_missing=allow_missing,
        no_progress_seconds=no_progress_seconds,
        as_json=as_json,
    )
    return run_replay(kafka_settings(ctx), job)


@replay.command()
@click.argument("name")
@click.option("--sink", metavar="URL", help=_SINK_HELP)
@click.pass_context
def promote(ctx: click.Context, *, name: str, sink: str | None) -> None:
    """Exchange the tables that a replay filled with --staging NAME with the live ones, in one transaction.

    Readers see all old or all new. Swapped again, the old ones are back.

    \b
    Example:
      flowise-telemetry replay promote rebuilt --sink postgresql://user@host/telemetry
    """
    target = open_sink(_required(sink, ctx))
    if not isinstance(target, Stageable):
        raise no_staging(target)
    try:
        target.promote(name)
        counts = target.counts() if isinstance(target, Readable) else {}
    finally:
        target.close()
    if counts:
        click.echo(table(("event", "rows now"), sorted(counts.items())))
    click.echo(f"{target.url}: swapped with {name}, which holds what was there before", err=True)


def _refuse_for_archives(job: Job, *, dry_run: bool) -> None:
    """An archive has rows, no offsets and no partitions."""
    bounds = (job.request.begin, job.request.end)
    if any(bound is not None and bound.offset is not None for bound in bounds):
        raise click.UsageError("--from and --to are times with --source: an archive has no offsets.")
    if job.request.partitions or job.shard is not None or job.workers > 1 or dry_run:
        raise click.UsageError(
            "--partition, --shard, --workers and --dry-run are not for --source: it has no partitions."
        )


def _required(sink: str | None, ctx: click.Context | None = None) -> str:
    """The sink's URL: of the command, or of ``replay`` before it."""
    if sink is None and ctx is not None and ctx.parent is not None:
        sink = ctx.parent.params.get("sink")
    if sink is None:
        raise click.UsageError("Missing option '--sink'.")
    return sink
