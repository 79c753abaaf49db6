"""Run a replay from an archive: from one sink into another, or onto a topic."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

import click

from flowise_telemetry_cli.commands._archive import (
    FirstRejects,
    archive_verdict,
    begin_rejects,
    rejects_beside,
    report_archive,
    report_archive_plan,
)
from flowise_telemetry_cli.commands.replay._display import archive_status
from flowise_telemetry_cli.commands.replay._execute import Job
from flowise_telemetry_cli.commands.replay._topic import open_topic_sink, report_times, target_settings
from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_cli.output.progress import ProgressDisplay
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.signals import stopped_by_signals
from flowise_telemetry_consumer.archives.opening import Source
from flowise_telemetry_consumer.archives.rejects import RejectsFile
from flowise_telemetry_consumer.process import separate_stderr
from flowise_telemetry_consumer.replay import (
    TOPIC_SCHEME,
    archive_of,
    archive_run_id,
    begin_archive,
    finish_archive,
    open_source,
    open_target,
    plan_archive,
    replay_source,
    require_own_rows,
)
from flowise_telemetry_consumer.retry import RunControl
from flowise_telemetry_consumer.sinks.port import Sink
from flowise_telemetry_transport import KafkaSettings

__all__ = ["run_archive", "run_archive_plan"]


def run_archive(invocation: Invocation, settings: KafkaSettings | None, source_url: str, job: Job) -> int:
    """Replay a sink, a table or exported files into a sink, or onto a topic, and return the exit status."""
    separate_stderr()
    with ExitStack() as opened:
        source = open_source(source_url, invocation.catalog)
        opened.callback(source.close)
        target: Sink
        if job.sink_url.startswith(TOPIC_SCHEME):
            target = open_topic_sink(opened, invocation, target_settings(settings, job.sink_servers), job.sink_url)
        else:
            target = open_target(job.sink_url, job.staging, invocation.catalog)
            opened.callback(target.close)
            if job.staging is not None:
                target.prepare(list(invocation.catalog))
                require_own_rows(target, None, resumes=False)
        _require_another_place(source, target)
        echo(f"replaying {source.url} into {target.url}", err=True)
        display = opened.enter_context(ProgressDisplay(archive_status))
        stop = opened.enter_context(stopped_by_signals())
        if job.staging is not None:
            begin_archive(target, source.url)
        rejects = RejectsFile(job.rejects or rejects_beside(source.url))
        opened.callback(rejects.close)
        result = replay_source(
            source,
            target,
            invocation.catalog,
            job.request.record_filter,
            run_id=archive_run_id(source, target, job.request.run_id(target.url)),
            restart=job.restart,
            control=RunControl(job.no_progress_seconds, stop),
            on_begin=partial(begin_rejects, rejects, source.url),
            on_report=display.show,
            on_rejects=rejects.keep,
        )
        if job.staging is not None and result.incomplete is None:
            finish_archive(target, source.url)
    report_archive(result, as_json=job.as_json, rejects=rejects, to_stderr=job.prints_events)
    report_times(target)
    return archive_verdict(result, rejects)


def run_archive_plan(invocation: Invocation, source_url: str, job: Job) -> int:
    """Print what a replay from an archive would do and return the exit status; no broker is asked for a topic."""
    separate_stderr()
    with ExitStack() as opened:
        source = open_source(source_url, invocation.catalog)
        opened.callback(source.close)
        onto_topic = job.sink_url.startswith(TOPIC_SCHEME)
        target = None if onto_topic else open_target(job.sink_url, job.staging, invocation.catalog)
        if target is not None:
            opened.callback(target.close)
            _require_another_place(source, target)
        display = opened.enter_context(ProgressDisplay(archive_status))
        stop = opened.enter_context(stopped_by_signals())
        plan = plan_archive(
            archive_of(source, invocation.catalog),
            target,
            invocation.catalog,
            job.request.record_filter,
            control=RunControl(job.no_progress_seconds, stop),
            on_report=display.show,
            on_rejects=FirstRejects().keep,
        )
    return report_archive_plan(plan, as_json=job.as_json)


def _require_another_place(source: Source, target: Sink) -> None:
    if target.url == source.url:
        raise click.UsageError(f"--source and --sink are both {source.url}.")
