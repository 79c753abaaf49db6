"""Run a replay: from a topic or an archive, into a sink or onto a topic, alone or with workers."""

from __future__ import annotations

import contextlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from flowise_telemetry_cli.commands.replay._display import replay_document, replay_status
from flowise_telemetry_cli.commands.replay._report import (
    missing_verdict,
    plan_verdict,
    report,
    report_plan,
    verdict,
)
from flowise_telemetry_cli.commands.replay._topic import (
    open_topic_reader,
    open_topic_sink,
    report_times,
    target_settings,
)
from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_cli.output.progress import ProgressDisplay
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.reading_catalog import reading_catalog, registry_settings
from flowise_telemetry_cli.signals import stopped_by_signals
from flowise_telemetry_consumer import ReplayRequest, ReplayResult, Shard, SinkError
from flowise_telemetry_consumer.clock import SystemClock
from flowise_telemetry_consumer.process import separate_stderr, tune_gc
from flowise_telemetry_consumer.replay import (
    advance_run,
    copy_topic,
    latest_run,
    open_run,
    open_target,
    plan_replay,
    replay_with_workers,
    require_another_topic,
    require_many_writers,
    require_own_rows,
    topic_of,
)
from flowise_telemetry_consumer.retry import RunControl
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_consumer.sinks.port import KeepsProgress
from flowise_telemetry_consumer.sinks.refusals import OnRefused
from flowise_telemetry_transport import KafkaSettings, RecordReader

__all__ = ["Job", "run_copy", "run_plan", "run_replay"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The replay that the options describe, apart from the connection."""

    sink_url: str
    request: ReplayRequest
    shard: Shard | None = None
    run_id: str | None = None
    staging: str | None = None
    workers: int = 1
    restart: bool = False
    allow_missing: bool = False
    no_progress_seconds: float = 60.0
    on_refused: OnRefused = "wait"
    as_json: bool = False
    sink_servers: str | None = None
    rejects: Path | None = None

    @property
    def prints_events(self) -> bool:
        """True if events go to stdout, so that the result must not."""
        return self.sink_url == "jsonl:-"


def run_replay(invocation: Invocation, settings: KafkaSettings, job: Job) -> int:
    """Replay the topic into a sink and return the exit status."""
    require_many_writers(job.sink_url, job.workers)
    separate_stderr()
    tune_gc()
    with ExitStack() as opened:
        target = open_target(job.sink_url, job.staging, invocation.catalog)
        opened.callback(target.close)
        reader = open_topic_reader(opened, invocation, settings, job.request.topic)
        echo(f"replaying {job.request.topic} into {target.url}", err=True)
        display = opened.enter_context(_replay_display(job))
        stop = opened.enter_context(stopped_by_signals())
        target.prepare(list(invocation.catalog))
        if not (job.restart or job.allow_missing):
            latest = latest_run(target, job.run_id or job.request.run_id(target.url), job.shard)
            if latest is not None and latest.finished and latest.resolved.missing:
                # Deleted offsets do not come back: a Job that restarts this would read the rest for nothing.
                echo(f"replay {latest.id} is finished; --restart reads the topic again", err=True)
                return missing_verdict(latest.resolved.missing, {}, allow_missing=False)
        run = open_run(
            reader,
            target,
            job.request,
            clock=SystemClock(),
            shard=job.shard,
            run_id=job.run_id,
            restart=job.restart,
        )
        if job.staging is not None:
            # A replay that has written progress passed this check when it was started.
            require_own_rows(target, run.id, resumes=run.updated_at_ms > 0)
        result: ReplayResult
        if job.workers > 1:
            result = replay_with_workers(
                settings,
                job.sink_url,
                run,
                workers=job.workers,
                lock_holder=target,
                staging=job.staging,
                own_schemas=None if invocation.own_events is None else invocation.own_events.place,
                registry=registry_settings(),
                control=RunControl(job.no_progress_seconds, stop),
                on_refused=job.on_refused,
                on_report=display.show,
            )
        else:
            result = advance_run(
                reader,
                target,
                reading_catalog(invocation.catalog),
                run,
                control=RunControl(job.no_progress_seconds, stop),
                on_refused=job.on_refused,
                on_report=display.show,
            )
    report(result, as_json=job.as_json, to_stderr=job.prints_events)
    mend = (
        f"resume it with {_resume_command(job, run.id)}"
        if isinstance(target, KeepsProgress)
        else f"start it again, from the beginning: {target.url} keeps no progress"
    )
    return verdict(result, allow_missing=job.allow_missing, mend=mend)


def run_copy(invocation: Invocation, settings: KafkaSettings, job: Job) -> int:
    """Copy the topic onto another one and return the exit status."""
    separate_stderr()
    place = target_settings(settings, job.sink_servers)
    onto_itself = topic_of(job.sink_url) == job.request.topic
    with ExitStack() as opened:
        reader = open_topic_reader(opened, invocation, settings, job.request.topic)
        if onto_itself:
            _require_another_topic(opened, invocation, settings, reader, place, job)
        target = open_topic_sink(opened, invocation, place, job.sink_url)
        echo(f"copying {job.request.topic} to {target.url}", err=True)
        display = opened.enter_context(_replay_display(job))
        stop = opened.enter_context(stopped_by_signals())
        result = copy_topic(
            reader,
            target,
            reading_catalog(invocation.catalog),
            job.request,
            shard=job.shard,
            control=RunControl(job.no_progress_seconds, stop),
            on_report=display.show,
        )
    report(result, as_json=job.as_json)
    report_times(target)
    return verdict(
        result, allow_missing=job.allow_missing, mend="start it again, from the beginning: a topic keeps no progress"
    )


def run_plan(invocation: Invocation, settings: KafkaSettings, job: Job) -> int:
    """Print what a replay would do and return the exit status."""
    separate_stderr()
    with ExitStack() as opened:
        target = open_target(job.sink_url, job.staging, invocation.catalog)
        opened.callback(target.close)
        reader = open_topic_reader(opened, invocation, settings, job.request.topic)
        stop = opened.enter_context(stopped_by_signals())
        if job.staging is not None:
            with contextlib.suppress(SinkError):  # not created yet, or unavailable: the plan says so
                run_id = job.request.run_id(target.url)
                latest = None if job.restart else latest_run(target, run_id, job.shard)
                resumes = latest is not None and not latest.finished
                require_own_rows(target, run_id, resumes=resumes)
        plan = plan_replay(
            reader,
            target,
            reading_catalog(invocation.catalog),
            job.request,
            shard=job.shard,
            restart=job.restart,
            control=RunControl(job.no_progress_seconds, stop),
        )
    report_plan(plan, as_json=job.as_json)
    return plan_verdict(plan, allow_missing=job.allow_missing)


def _replay_display(job: Job) -> ProgressDisplay[ReplayResult]:
    return ProgressDisplay(replay_status, document=replay_document if job.as_json else None)


def _resume_command(job: Job, run_id: str) -> str:
    """Return the command that resumes a replay; a password in the URL is masked."""
    words = ["flowise-telemetry replay resume", run_id, "--sink", open_sink(job.sink_url).url]
    if job.staging is not None:
        words += ["--staging", job.staging]
    if job.shard is not None:
        words += ["--shard", f"{job.shard.number}/{job.shard.of}"]
    return " ".join(words)


def _require_another_topic(  # noqa: PLR0917 - one step of run_copy
    opened: ExitStack,
    invocation: Invocation,
    settings: KafkaSettings,
    reader: RecordReader,
    place: KafkaSettings,
    job: Job,
) -> None:
    """Raise if the topic would be copied onto itself, even through another address of its cluster."""
    topic = job.request.topic
    if job.sink_servers is None:
        raise click.UsageError(
            f"--sink kafka://{topic} is the topic itself: name another one, or another cluster with"
            " --sink-bootstrap-servers."
        )
    looking = open_topic_reader(opened, invocation, place, topic)
    here, there = invocation.open_admin(settings), invocation.open_admin(place)
    for admin in (here, there):
        opened.callback(admin.close)
    require_another_topic(topic, (reader, here), (looking, there))
