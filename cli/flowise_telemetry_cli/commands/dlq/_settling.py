"""Run of a command that writes receipts or takes them back, and its report."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack

import click

from flowise_telemetry_cli.commands.dlq._reading import report_unread
from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_cli.options import CLOSE_SECONDS, kafka_settings
from flowise_telemetry_cli.output.progress import ProgressDisplay, Status
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_cli.signals import stopped_by_signals
from flowise_telemetry_consumer import open_dead_letter_writer
from flowise_telemetry_consumer.clock import SystemClock
from flowise_telemetry_consumer.dead_letters.settle import SettledLetters
from flowise_telemetry_consumer.retry import RunControl
from flowise_telemetry_transport import RecordReader, RecordWriter

__all__ = ["Settle", "settle"]

Settle = Callable[[RecordReader, RecordWriter | None, RunControl, Callable[[SettledLetters], None]], SettledLetters]


def settle(invocation: Invocation, act: Settle, *, topic: str, done: str, dry_run: bool, as_json: bool) -> int:
    """Open what ``act`` needs, call it, and report how many letters were ``done``; return the exit status."""

    def status(result: SettledLetters, _seconds: float) -> Status:
        return Status(f"{done} {result.by_reason.total():,} dead letters")

    settings = kafka_settings(invocation)
    with ExitStack() as opened:
        reader = invocation.open_reader(settings)
        opened.callback(reader.close, timeout_seconds=CLOSE_SECONDS)
        reader.partitions_of(topic)
        writer = None
        if not dry_run:
            writer = open_dead_letter_writer(settings, open_writer=invocation.open_writer)
            opened.callback(writer.close, timeout_seconds=CLOSE_SECONDS)
        display = opened.enter_context(ProgressDisplay(status))
        stop = opened.enter_context(stopped_by_signals())
        control = RunControl(stop=stop, clock=invocation.clock or SystemClock())
        result = act(reader, writer, control, display.show)
    if as_json:
        counts = dict(sorted(result.by_reason.items()))
        click.echo(json.dumps({"topic": topic, "dry_run": dry_run, "there": result.there, done: counts}))
    elif result.by_reason:
        click.echo(table((done, "count"), sorted(result.by_reason.items())))
    would = "would be " if dry_run else ""
    click.echo(f"{result.by_reason.total():,} of {result.there:,} dead letters of {topic} {would}{done}", err=True)
    return report_unread(topic, unread=result.unread, incomplete=result.incomplete)
