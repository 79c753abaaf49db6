"""Run of a command that writes receipts or takes them back, and its report."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack

from flowise_telemetry_cli.commands.dlq._reading import open_letters, report_unread
from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_cli.output.progress import ProgressDisplay, Status
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_cli.signals import stopped_by_signals
from flowise_telemetry_consumer.clock import SystemClock
from flowise_telemetry_consumer.dead_letters.settle import SettledLetters
from flowise_telemetry_consumer.retry import RunControl

__all__ = ["settle"]


def settle(
    invocation: Invocation, act: Callable[..., SettledLetters], *, topic: str, done: str, dry_run: bool, as_json: bool
) -> int:
    """Open what ``act`` needs, call it, and report how many letters were ``done``; return the exit status.

    ``act`` is ``discard`` or ``restore`` of ``dead_letters.settle``, with the choice of letters given already.
    """

    def status(result: SettledLetters, _seconds: float) -> Status:
        return Status(f"{done} {result.by_reason.total():,} dead letters")

    with ExitStack() as opened:
        reader, writer = open_letters(opened, invocation, topic, writes=not dry_run)
        display = opened.enter_context(ProgressDisplay(status))
        stop = opened.enter_context(stopped_by_signals())
        control = RunControl(stop=stop, clock=invocation.clock or SystemClock())
        result = act(reader, writer, topic, control=control, on_report=display.show)
    if as_json:
        counts = dict(sorted(result.by_reason.items()))
        echo(json.dumps({"topic": topic, "dry_run": dry_run, "there": result.there, done: counts}))
    elif result.by_reason:
        echo(table((done, "count"), sorted(result.by_reason.items())))
    would = "would be " if dry_run else ""
    echo(f"{result.by_reason.total():,} of {result.there:,} dead letters of {topic} {would}{done}", err=True)
    return report_unread(topic, unread=result.unread, incomplete=result.incomplete)
