"""The end of a replay: its reconciliation by partition, and its exit status."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from flowise_telemetry_cli.errors import DONE, FAILED, INCOMPLETE
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_consumer import ReplayResult
from flowise_telemetry_consumer.replay import ReplayPlan
from flowise_telemetry_consumer.replay.report import ranges_text
from flowise_telemetry_transport import TopicPartition

__all__ = [
    "missing_verdict",
    "plan_verdict",
    "refused_verdict",
    "report",
    "report_plan",
    "verdict",
]

_Ranges = Mapping[TopicPartition, Sequence[tuple[int, int]]]


def report(result: ReplayResult, *, as_json: bool, to_stderr: bool = False) -> None:
    """Print the result: tables, or one JSON object; ``to_stderr`` if the events themselves go to stdout."""
    say = partial(echo, err=to_stderr)
    if as_json:
        say(json.dumps(_document(result)))
        return
    erased = ("erased",) if result.erased else ()
    head = (
        "partition",
        "offsets read",
        "written",
        "already there",
        *erased,
        "dead letters",
        "filtered",
        "gaps",
        "left",
    )
    rows = [
        (
            tp.partition,
            part.offsets_read,
            part.written,
            part.already_there,
            *([part.erased] if erased else []),
            part.dead,
            part.filtered,
            part.gaps,
            part.end - part.position,
        )
        for tp, part in sorted(result.partitions.items())
    ]
    if len(rows) > 1:
        rows = [*rows, ("all", *(sum(row[column] for row in rows) for column in range(1, len(head))))]  # type: ignore[arg-type]  # a heading among numbers
    say(table(head, rows))
    events = sorted({*result.written, *result.already_there})
    if events:
        say()
        lines = [(event, result.written[event], result.already_there[event]) for event in events]
        say(table(("event", "written", "already there"), lines))
    if result.erased:
        say()
        say(table(("left out as erased", "events"), sorted(result.erased.items())))
    if result.dead:
        say()
        say(table(("dead letters", "count"), sorted(result.dead.items())))


def verdict(result: ReplayResult, *, allow_missing: bool, mend: str) -> int:
    """Return the exit status, with a line on stderr for every shortfall; ``mend`` says how to resume."""
    if earlier := result.offsets_before:
        echo(
            f"note: earlier processes of this replay read {earlier:,} offsets, which these sums leave out",
            err=True,
        )
    wrong = result.discrepancies()
    for line in wrong:
        echo(f"error: the offsets do not add up: {line}", err=True)
    incomplete = missing_verdict(result.missing, result.held_back, allow_missing=allow_missing)
    refused = refused_verdict(result.refused)
    status = FAILED if wrong else incomplete or refused
    if result.incomplete is not None:
        echo(f"error: incomplete: {result.incomplete}: {mend}", err=True)
        status = status or INCOMPLETE
    return status


def missing_verdict(missing: _Ranges, held_back: _Ranges, *, allow_missing: bool) -> int:
    """Return the exit status; name on stderr what retention deleted, and what an open transaction kept back."""
    lines = []
    if missing:
        accepts = " (--allow-missing accepts that)"
        lines.append((f"retention deleted offsets of the range, by partition {ranges_text(missing)}", accepts))
    if held_back:
        text = f"a transaction was open, and what is behind it was not read, by partition {ranges_text(held_back)}"
        lines.append((text, ": run it again once that is committed or aborted (--allow-missing accepts that)"))
    for text, mend in lines:
        echo(f"note: {text}" if allow_missing else f"error: incomplete: {text}{mend}", err=True)
    return INCOMPLETE if lines and not allow_missing else DONE


def refused_verdict(refused: _Ranges) -> int:
    """Return the exit status; say on stderr how many events the sink refused, and where they are."""
    count = sum(last - first for ranges in refused.values() for first, last in ranges)
    if not count:
        return DONE
    what = f"{count:,} events are refused by a rule of the sink and left out, by partition {ranges_text(refused)}"
    echo(f"error: incomplete: {what}: mend the rule, then start the replay again", err=True)
    return INCOMPLETE


def report_plan(plan: ReplayPlan, *, as_json: bool) -> None:
    """Print what a replay would do."""
    if as_json:
        echo(json.dumps(_plan_document(plan)))
        return
    head = ("partition", "from", "to", "records", "dead letters", "filtered", "gaps", "bytes")
    rows = [
        (tp.partition, part.start, part.end, part.records, part.dead, part.filtered, part.gaps, part.value_bytes)
        for tp, part in sorted(plan.partitions.items())
    ]
    echo(table(head, rows))
    if plan.events:
        echo()
        echo(
            table(
                ("event", "in the range", "already there", "erased", "to write"),
                [
                    (event, count, there := plan.already_there[event], gone := plan.erased[event], count - there - gone)
                    for event, count in sorted(plan.events.items())
                ],
            )
        )
    if plan.dead:
        echo()
        echo(table(("dead letters", "count"), sorted(plan.dead.items())))


def plan_verdict(plan: ReplayPlan, *, allow_missing: bool) -> int:
    """Return the exit status; print the minimum duration and other notes on stderr."""
    if plan.resumes:
        echo(f"note: resumes replay {plan.run}; --restart would read everything again", err=True)
    if plan.sink_error is not None:
        echo(f"note: the sink is taken to be empty: {plan.sink_error}", err=True)
    echo(
        f"replay {plan.run} will take at least {plan.seconds:.1f} s, the time that reading and decoding took;"
        " nothing was changed",
        err=True,
    )
    status = missing_verdict(plan.missing, plan.held_back, allow_missing=allow_missing)
    if plan.incomplete is not None:
        echo(f"error: incomplete: {plan.incomplete}", err=True)
        status = INCOMPLETE
    return status


def _plan_document(plan: ReplayPlan) -> dict[str, Any]:
    return {
        "replay": plan.run,
        "topic": plan.topic,
        "resumes": plan.resumes,
        "seconds_at_least": round(plan.seconds, 1),
        "incomplete": plan.incomplete,
        "sink_error": plan.sink_error,
        "events": dict(plan.events),
        "already_there": dict(+plan.already_there),
        "erased": dict(+plan.erased),
        "dead": dict(plan.dead),
        "partitions": {str(tp.partition): dataclasses.asdict(part) for tp, part in sorted(plan.partitions.items())},
    }


def _document(result: ReplayResult) -> dict[str, Any]:
    return {
        "replay": result.run,
        "topic": result.topic,
        "complete": result.complete,
        "resumed": result.resumed,
        "offsets_before": result.offsets_before,
        "adds_up": not result.discrepancies(),
        "written": dict(+result.written),
        "already_there": dict(+result.already_there),
        "erased": dict(+result.erased),
        "dead": dict(+result.dead),
        "filtered": result.filtered,
        "partitions": {
            str(tp.partition): {
                "start": part.start,
                "end": part.end,
                "resumed_at": part.resumed_at,
                "position": part.position,
                "written": part.written,
                "already_there": part.already_there,
                "erased": part.erased,
                "dead": part.dead,
                "filtered": part.filtered,
                "gaps": part.gaps,
                "missing": part.missing,
                **({"held_back": [part.held_back]} if part.held_back else {}),
                **({"refused": part.refused} if part.refused else {}),
            }
            for tp, part in sorted(result.partitions.items())
        },
    }
