"""Dead letters through the pipeline again."""

from __future__ import annotations

import json
from contextlib import ExitStack

import click

from flowise_telemetry_cli.commands.dlq._reading import ending
from flowise_telemetry_cli.errors import FAILED, INCOMPLETE
from flowise_telemetry_cli.options import CLOSE_SECONDS
from flowise_telemetry_cli.output.progress import ProgressLine
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_cli.signals import stopped_by_signals
from flowise_telemetry_consumer import RedriveResult, open_dead_letter_writer, redrive
from flowise_telemetry_consumer.retry import RunControl
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import KafkaSettings, open_reader

__all__ = ["redrive_letters"]


def redrive_letters(
    settings: KafkaSettings,
    topic: str,
    *,
    sink_url: str | None,
    group: str | None,
    reasons: tuple[str, ...],
    max_letters: int | None,
    max_redrives: int,
    as_json: bool,
) -> int:
    """Redrives into a sink, or without one says what would become of the letters; the exit status."""
    with ExitStack() as opened:
        sink = writer = None
        if sink_url is not None:
            sink = open_sink(sink_url)
            opened.callback(sink.close)
        reader = open_reader(settings)
        opened.callback(reader.close, timeout_seconds=CLOSE_SECONDS)
        reader.partitions_of(topic)  # before the sink is made
        if sink is not None:
            writer = open_dead_letter_writer(settings)
            opened.callback(writer.close, timeout_seconds=CLOSE_SECONDS)
            click.echo(f"redriving {topic} into {sink.url}", err=True)
        line = opened.enter_context(ProgressLine())
        stop = opened.enter_context(stopped_by_signals())
        result = redrive(
            reader,
            sink,
            writer,
            catalog(),
            topic,
            reasons=reasons,
            group=group,
            max_letters=max_letters,
            max_redrives=max_redrives,
            control=RunControl(stop=stop),
            on_report=lambda now: line.show(f"redriven {now.dead - now.left:,} of {now.dead:,} dead letters"),
        )
    _report(result, dry_run=sink_url is None, as_json=as_json)
    if group is not None and result.by_group and group not in result.by_group:
        there = ", ".join(sorted(result.by_group))
        click.echo(f"{topic} has no dead letters of group {group}, only of {there}", err=True)
    if not result.adds_up:
        click.echo(f"error: the dead letters do not add up: {result.dead} there, {result}", err=True)
        return FAILED
    status = ending(topic, unread=result.unread, incomplete=result.incomplete)
    return INCOMPLETE if result.still_bad or result.given_up or result.without_bytes or result.left else status


def _report(result: RedriveResult, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps(
                {
                    "topic": result.topic,
                    "dry_run": dry_run,
                    "dead": result.dead,
                    "written": dict(+result.written),
                    "already_there": dict(+result.already_there),
                    "still_bad": dict(+result.still_bad),
                    "not_chosen": result.not_chosen,
                    "given_up": result.given_up,
                    "without_bytes": result.without_bytes,
                    "left": result.left,
                }
            )
        )
        return
    rows = [
        *(
            (f"{'good now' if dry_run else 'written'}: {event}", count)
            for event, count in sorted(result.written.items())
        ),
        *((f"already there: {event}", count) for event, count in sorted((+result.already_there).items())),
        *((f"still bad: {reason}", count) for reason, count in sorted(result.still_bad.items())),
        *(
            (what, count)
            for what, count in (
                ("of another reason", result.not_chosen),
                ("redriven too often already (--max-redrives)", result.given_up),
                ("without bytes: the client could not read them", result.without_bytes),
                ("left for another time", result.left),
            )
            if count
        ),
        ("dead letters", result.dead),
    ]
    click.echo(table(("what became of them", "count"), rows))
