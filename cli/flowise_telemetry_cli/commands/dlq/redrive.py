"""``flowise-telemetry dlq redrive``: send dead letters through the pipeline again."""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import partial

import click

from flowise_telemetry_cli.commands.dlq._reading import (
    choice_options,
    dead_letter_options,
    max_option,
    open_letters,
    report_unread,
)
from flowise_telemetry_cli.errors import FAILED, INCOMPLETE
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import SINK_HELP, json_option, kafka_settings, umask_option
from flowise_telemetry_cli.output.progress import ProgressDisplay, Status
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_cli.reading_catalog import reading_catalog
from flowise_telemetry_cli.signals import stopped_by_signals
from flowise_telemetry_consumer import RedriveResult
from flowise_telemetry_consumer import redrive as redrive_records
from flowise_telemetry_consumer.clock import SystemClock
from flowise_telemetry_consumer.dead_letters.letter_filter import LetterFilter
from flowise_telemetry_consumer.dead_letters.redrive import DEFAULT_MAX_REDRIVES
from flowise_telemetry_consumer.process import separate_stderr
from flowise_telemetry_consumer.retry import RunControl
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_consumer.sinks.refusals import ON_REFUSED, OnRefused

__all__ = ["redrive"]


@click.command()
@umask_option
@dead_letter_options
@click.option("--sink", metavar="URL", help=SINK_HELP)
@choice_options
@max_option
@click.option(
    "--max-redrives",
    type=click.IntRange(min=1),
    default=DEFAULT_MAX_REDRIVES,
    show_default=True,
    help="Skip dead letters that were already redriven this often.",
)
@click.option(
    "--new-sink", is_flag=True, help="Write into a sink that has nothing of the consumer group, such as a new one."
)
@click.option(
    "--on-refused",
    type=click.Choice(ON_REFUSED),
    default="wait",
    show_default=True,
    help="What to do with a row that a rule of the sink refuses: wait, as for an outage, or let at most 1,000 stay dead"
    " letters.",
)
@click.option("--dry-run", is_flag=True, help="Report what would happen; change nothing.")
@json_option("Print the result as one JSON object.")
@pass_invocation
def redrive(
    invocation: Invocation,
    *,
    topic: str,
    group: str | None,
    sink: str | None,
    chosen: LetterFilter,
    max_letters: int | None,
    max_redrives: int,
    new_sink: bool,
    on_refused: OnRefused,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Send the current dead letters through the whole pipeline again, into a sink.

    For use after a fix, such as an added schema version or a wider bound. Records that are valid now are written and no
    longer count. Invalid ones stay dead letters, once each, with their latest reason. If several consumer groups have
    dead letters, --group names the one whose sink this is. A sink that no consumer of the group has written to is
    refused: --new-sink says that it is no mistake. Exit status 3: some are still invalid or were left.

    \b
    Example:
      flowise-telemetry dlq redrive --reason unknown_fingerprint --sink sqlite:///telemetry.db
    """
    if sink is None and not dry_run:
        raise click.UsageError("Missing option '--sink' (or --dry-run).")
    separate_stderr()
    settings = kafka_settings(invocation)
    with ExitStack() as opened:
        target = None
        if sink is not None:
            target = open_sink(sink, invocation.catalog)
            opened.callback(target.close)
        reader, writer = open_letters(opened, invocation, topic, writes=not dry_run)  # before the sink is created
        if target is not None and writer is not None:
            echo(f"redriving {topic} into {target.url}", err=True)
        display = opened.enter_context(ProgressDisplay(_status))
        stop = opened.enter_context(stopped_by_signals())
        result = redrive_records(
            reader,
            target,
            writer,
            reading_catalog(invocation.catalog),
            topic,
            chosen=chosen,
            group=group,
            new_sink=new_sink,
            max_letters=max_letters,
            max_redrives=max_redrives,
            open_source=partial(invocation.open_reader, settings),
            control=RunControl(stop=stop, clock=invocation.clock or SystemClock()),
            on_refused=on_refused,
            on_report=display.show,
        )
    _report(result, dry_run=dry_run, as_json=as_json)
    if result.fetched:
        echo(f"{result.fetched:,} were too large to be filed: fetched from the source topic", err=True)
    if group is not None and result.by_group and group not in result.by_group:
        there = ", ".join(sorted(result.by_group))
        echo(f"{topic} has no dead letters of group {group}, only of {there}", err=True)
    if not result.adds_up:
        echo(f"error: the dead letters do not add up: {result.dead} there, {result}", err=True)
        return FAILED
    status = report_unread(topic, unread=result.unread, incomplete=result.incomplete)
    return INCOMPLETE if result.still_bad or result.given_up or result.without_bytes or result.left else status


def _status(result: RedriveResult, _seconds: float) -> Status:
    return Status(f"redriven {result.dead - result.left:,} of {result.dead:,} dead letters")


def _report(result: RedriveResult, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        echo(json.dumps(_document(result, dry_run=dry_run)))
        return
    good = "good now" if dry_run else "written"
    others = (
        ("not chosen", result.not_chosen),
        ("redriven too often already (--max-redrives)", result.given_up),
        ("without bytes: unreadable, or too large to be filed and gone from the source topic", result.without_bytes),
        ("left for a later redrive", result.left),
    )
    rows = [
        *((f"{good}: {event}", count) for event, count in sorted(result.written.items())),
        *((f"already there: {event}", count) for event, count in sorted((+result.already_there).items())),
        *((f"erased from the sink: {event}", count) for event, count in sorted((+result.erased).items())),
        *((f"still bad: {reason}", count) for reason, count in sorted(result.still_bad.items())),
        *((what, count) for what, count in others if count),
        ("dead letters", result.dead),
    ]
    echo(table(("what became of them", "count"), rows))


def _document(result: RedriveResult, *, dry_run: bool) -> dict[str, object]:
    return {
        "topic": result.topic,
        "dry_run": dry_run,
        "dead": result.dead,
        "written": dict(+result.written),
        "already_there": dict(+result.already_there),
        "erased": dict(+result.erased),
        "still_bad": dict(+result.still_bad),
        "not_chosen": result.not_chosen,
        "given_up": result.given_up,
        "without_bytes": result.without_bytes,
        "fetched": result.fetched,
        "left": result.left,
    }
