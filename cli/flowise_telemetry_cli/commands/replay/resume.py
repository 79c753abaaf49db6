"""``flowise-telemetry replay resume``: finish an unfinished replay."""

from __future__ import annotations

import click

from flowise_telemetry_cli.commands.replay._execute import Job, run_replay
from flowise_telemetry_cli.commands.replay._options import (
    allow_missing_option,
    no_progress_option,
    on_refused_option,
    result_option,
    sink_option,
    workers_option,
)
from flowise_telemetry_cli.commands.replay._report import missing_verdict, refused_verdict
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import connection_options, kafka_settings, schemas_option, umask_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_consumer import Shard
from flowise_telemetry_consumer.replay import open_target
from flowise_telemetry_consumer.replay.checkpoints import find_run
from flowise_telemetry_consumer.sinks.refusals import OnRefused

__all__ = ["resume"]


@click.command()
@umask_option
@connection_options
@schemas_option
@click.argument("run_id", metavar="ID")
@sink_option
@click.option("--staging", metavar="NAME", help="The NAME that the replay was started with.")
@workers_option
@click.option("--shard", metavar="I/N", help="The shard to resume.")
@allow_missing_option
@no_progress_option
@on_refused_option
@result_option
@pass_invocation
def resume(
    invocation: Invocation,
    *,
    run_id: str,
    sink: str,
    staging: str | None,
    workers: int,
    shard: str | None,
    allow_missing: bool,
    no_progress_seconds: float,
    on_refused: OnRefused,
    as_json: bool,
) -> int:
    """Resume a replay that was stopped or killed, up to the end offsets of its first start.

    \b
    Example:
      flowise-telemetry replay resume 3f2a9c0d1b7e --sink sqlite:///copy.db
    """
    share = None if shard is None else Shard.parse(shard)
    target = open_target(sink, staging)
    try:
        run = find_run(target, run_id, share)
    finally:
        target.close()
    if run.finished:
        echo(f"replay {run.id} is finished: nothing is left to do", err=True)
        held_back = {tp: [pair] for tp, pair in run.resolved.held_back.items()}
        status = missing_verdict(run.resolved.missing, held_back, allow_missing=allow_missing)
        return status or refused_verdict(run.resolved.refused)
    job = Job(
        sink_url=sink,
        request=run.request,
        shard=share,
        run_id=run.id,
        staging=staging,
        workers=workers,
        allow_missing=allow_missing,
        no_progress_seconds=no_progress_seconds,
        on_refused=on_refused,
        as_json=as_json,
    )
    return run_replay(invocation, kafka_settings(invocation), job)
