"""``flowise-telemetry replay`` itself: its options, and the kind of replay that they select."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from flowise_telemetry_cli.commands.replay._execute import Job, run_copy, run_plan, run_replay
from flowise_telemetry_cli.commands.replay._from_archive import run_archive, run_archive_plan
from flowise_telemetry_cli.commands.replay._options import (
    allow_missing_option,
    no_progress_option,
    on_refused_option,
    range_options,
    request_of,
    result_option,
    shard_of,
    workers_option,
)
from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_cli.options import (
    SINK_HELP,
    connection_options,
    kafka_settings,
    schemas_option,
    topic_option,
    umask_option,
)
from flowise_telemetry_consumer.replay import TOPIC_SCHEME
from flowise_telemetry_consumer.sinks.refusals import OnRefused

__all__ = ["run", "run_options"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    umask_option,
    connection_options,
    topic_option,
    schemas_option,
    click.option("--sink", metavar="URL", help=SINK_HELP),
    range_options,
    click.option(
        "--source",
        metavar="URL|DIR",
        help="Read this sink, Delta table or folder of export in place of the topic, such as delta:///archive.",
    ),
    click.option("--staging", metavar="NAME", help="Fill staging tables of this name; replay promote makes them live."),
    click.option(
        "--sink-bootstrap-servers", metavar="HOST:PORT,…", help="Brokers of the topic in --sink kafka://topic."
    ),
    click.option(
        "--rejects",
        type=click.Path(dir_okay=False, path_type=Path),
        help="With --source: file for what is no valid event.  [default: NAME.rejects.jsonl in this folder]",
    ),
    click.option("--dry-run", is_flag=True, help="Report what would be written; change nothing."),
    workers_option,
    click.option("--shard", metavar="I/N", help="Replay only the I-th of N shares of the partitions."),
    click.option(
        "--shard-count",
        type=click.IntRange(min=1),
        help="N, where JOB_COMPLETION_INDEX of a Kubernetes Indexed Job says which share this is.",
    ),
    click.option("--restart", is_flag=True, help="Start over even if an unfinished replay could be resumed."),
    allow_missing_option,
    no_progress_option,
    on_refused_option,
    result_option,
)


def run_options(command: _Command) -> _Command:
    """Add the options of a replay, which ``run`` takes."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def run(
    invocation: Invocation,
    *,
    sink: str | None,
    source: str | None,
    staging: str | None,
    sink_bootstrap_servers: str | None,
    rejects: Path | None,
    dry_run: bool,
    workers: int,
    shard: str | None,
    shard_count: int | None,
    restart: bool,
    allow_missing: bool,
    no_progress_seconds: float,
    on_refused: OnRefused,
    as_json: bool,
    **chosen: Any,
) -> int:
    """Replay and return the exit status. ``chosen`` are the topic and the range options."""
    request = request_of(invocation.catalog, **chosen)
    if sink is None:
        raise click.UsageError("Missing option '--sink'.")
    job = Job(
        sink_url=sink,
        request=request,
        shard=shard_of(shard, shard_count),
        staging=staging,
        workers=workers,
        restart=restart,
        allow_missing=allow_missing,
        no_progress_seconds=no_progress_seconds,
        on_refused=on_refused,
        as_json=as_json,
        sink_servers=sink_bootstrap_servers,
        rejects=rejects,
    )
    if rejects is not None and source is None:
        raise click.UsageError("--rejects applies to --source: bad records of a topic become dead letters.")
    onto_topic = sink.startswith(TOPIC_SCHEME)
    if source is not None:
        _refuse_for_archives(job)
        if dry_run:
            return run_archive_plan(invocation, source, job)
        one_cluster = onto_topic and not sink_bootstrap_servers
        return run_archive(invocation, kafka_settings(invocation) if one_cluster else None, source, job)
    if onto_topic:
        if dry_run or staging is not None or workers > 1:
            raise click.UsageError("--dry-run, --staging and --workers do not apply to a sink that is a topic.")
        return run_copy(invocation, kafka_settings(invocation), job)
    way = run_plan if dry_run else run_replay
    return way(invocation, kafka_settings(invocation), job)


def _refuse_for_archives(job: Job) -> None:
    """Raise ``UsageError`` for options that need offsets or partitions: an archive has rows only."""
    bounds = (job.request.begin, job.request.end)
    if any(bound is not None and bound.offset is not None for bound in bounds):
        raise click.UsageError("--from and --to are times with --source: an archive has no offsets.")
    if job.request.partitions or job.shard is not None or job.workers > 1:
        raise click.UsageError(
            "--partition, --shard and --workers do not apply to --source: an archive has no partitions."
        )
    if job.on_refused == "dead-letter":
        raise click.UsageError("--on-refused dead-letter does not apply to --source: an archive has no dead letters.")
