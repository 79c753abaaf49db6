"""What a replay did, at its end: the reconciliation by partition, and the exit status that it earns."""

from __future__ import annotations

import json
from typing import Any

import click

from flowise_telemetry_cli.exit_status import DONE, FAILED, INCOMPLETE
from flowise_telemetry_cli.table import table
from flowise_telemetry_consumer import ReplayResult, ranges_text

__all__ = ["report", "verdict"]


def report(result: ReplayResult, *, as_json: bool) -> None:
    """Prints the result: tables, or one JSON object."""
    if as_json:
        click.echo(json.dumps(_document(result)))
        return
    head = ("partition", "offsets read", "written", "already there", "dead letters", "filtered", "gaps", "left")
    rows = [
        (
            tp.partition,
            part.offsets_read,
            part.written,
            part.already_there,
            part.dead,
            part.filtered,
            part.gaps,
            part.end - part.position,
        )
        for tp, part in sorted(result.partitions.items())
    ]
    if len(rows) > 1:
        rows = [*rows, ("all", *(sum(row[column] for row in rows) for column in range(1, len(head))))]  # type: ignore[list-item]  # a heading among numbers
    click.echo(table(head, rows))
    events = sorted({*result.written, *result.already_there})
    if events:
        click.echo()
        lines = [(event, result.written[event], result.already_there[event]) for event in events]
        click.echo(table(("event", "written", "already there"), lines))
    if result.dead:
        click.echo()
        click.echo(table(("dead letters", "count"), sorted(result.dead.items())))


def verdict(result: ReplayResult, *, allow_missing: bool, sink_url: str) -> int:
    """The exit status, with a line on stderr for everything that is not as it should be."""
    wrong = result.discrepancies()
    for line in wrong:
        click.echo(f"error: the offsets do not add up: {line}", err=True)
    status = FAILED if wrong else DONE
    if result.missing:
        text = f"retention had removed offsets of the range, by partition {ranges_text(result.missing)}"
        if allow_missing:
            click.echo(f"note: {text}", err=True)
        else:
            click.echo(f"error: incomplete: {text} (--allow-missing takes what is left)", err=True)
            status = status or INCOMPLETE
    if result.incomplete is not None:
        mend = f": flowise-telemetry replay resume {result.run} --sink {sink_url} goes on" if result.run else ""
        click.echo(f"error: incomplete: {result.incomplete}{mend}", err=True)
        status = status or INCOMPLETE
    return status


def _document(result: ReplayResult) -> dict[str, Any]:
    return {
        "replay": result.run,
        "topic": result.topic,
        "complete": result.complete,
        "resumed": result.resumed,
        "adds_up": not result.discrepancies(),
        "written": dict(+result.written),
        "already_there": dict(+result.already_there),
        "dead": dict(+result.dead),
        "filtered": result.filtered,
        "partitions": {
            str(tp.partition): {
                "start": part.start,
                "end": part.end,
                "went_on_at": part.went_on_at,
                "position": part.position,
                "written": part.written,
                "already_there": part.already_there,
                "dead": part.dead,
                "filtered": part.filtered,
                "gaps": part.gaps,
                "missing": part.missing,
            }
            for tp, part in sorted(result.partitions.items())
        },
    }
