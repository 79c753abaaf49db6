"""``flowise-telemetry loss``: what became of the events that apps numbered."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

import click

from flowise_telemetry_cli.options import json_option, umask_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_consumer.loss import Loss, Outcome, loss_of
from flowise_telemetry_consumer.replay.bounds import moment_ms, time_text
from flowise_telemetry_consumer.sinks import open_sink

__all__ = ["loss"]

_HEAD = ("numbered", "written", "dropped", "on the way", "unexplained")


@click.command()
@umask_option
@click.option("--sink", metavar="URL", required=True, help="Sink to ask.")
@click.option(
    "--by",
    type=click.Choice(["instance", "day", "reason"]),
    help="A row for each installation and month, each day, or each reason.",
)
@click.option(
    "--age",
    metavar="AGE",
    default="1d",
    show_default=True,
    help="Time after the last record of a stream from which what is still missing is unexplained: 2h, 7d.",
)
@json_option("Print the answer as one JSON object.")
def loss(*, sink: str, by: str | None, age: str, as_json: bool) -> None:
    """Tell what became of the events that apps numbered, from the account that the sink keeps of each stream.

    Every event is numbered before anything can happen to it, so that numbered = written + dropped + on the way +
    unexplained. What was dropped, its app has counted by reason.

    \b
    Example:
      flowise-telemetry loss --sink sqlite:///telemetry.db --by reason
    """
    now_ms = time.time_ns() // 1_000_000
    age_ms = now_ms - moment_ms(age, now_ms=now_ms, argument="age")
    with closing(open_sink(sink)) as source:
        answer = loss_of(source, now_ms=now_ms, age_seconds=age_ms / 1000)
        url = source.url
    if as_json:
        asked = {"sink": url, "time": time_text(now_ms), "age_seconds": age_ms / 1000}
        echo(json.dumps({**asked, **_document(answer, by)}))
        return
    if by == "reason":
        echo(table(("outcome", "reason", "events"), _reasons(answer)))
    else:
        rows = _groups(answer, by)
        echo(table((by or "streams", *_HEAD), ((name, *_cells(outcome)) for name, outcome in rows)))
    for line in _notes(answer):
        echo(line, err=True)


def _groups(answer: Loss, by: str | None) -> Iterable[tuple[object, Outcome]]:
    if by == "instance":
        return sorted(answer.by_instance.items(), key=lambda item: (-item[1].unexplained, -item[1].missing, item[0]))
    if by == "day":
        return [(day.isoformat(), outcome) for day, outcome in answer.by_day.items()]
    return [(answer.streams, answer.total)]


def _cells(outcome: Outcome) -> tuple[int, ...]:
    dropped = sum(outcome.dropped.values())
    return outcome.numbered, outcome.written, dropped, outcome.on_the_way, outcome.unexplained


def _reasons(answer: Loss) -> list[tuple[str, str, int]]:
    total = answer.total
    rows = [("written", "", total.written)]
    rows += [("dropped", reason, count) for reason, count in sorted(total.dropped.items())]
    rows += [("on the way", "", total.on_the_way), ("unexplained", "", total.unexplained)]
    return [*rows, *(("dead letter", reason, count) for reason, count in _letters(answer).items())]


def _letters(answer: Loss) -> Mapping[str, int]:
    counts: Counter[str] = Counter()
    for (_, reason), count in (answer.letters or {}).items():
        counts[reason] += count
    return dict(sorted(counts.items()))


def _notes(answer: Loss) -> Iterable[str]:
    total = answer.total
    if total.arrived_anyway:
        more = f"{total.arrived_anyway:,} events arrived beyond those that were left to arrive"
        yield f"{more}: their apps took them for dropped, or a replay brought pruned ones back"
    if answer.letters is None:
        yield "this sink does not count dead letters"
    elif letters := sum(answer.letters.values()):
        yield f"{letters:,} records became dead letters; events among them are unexplained until they are redriven"


def _document(answer: Loss, by: str | None) -> dict[str, Any]:
    letters = None
    if answer.letters is not None:
        days: dict[str, dict[str, int]] = {}
        for (day, reason), count in answer.letters.items():
            days.setdefault(day.isoformat(), {})[reason] = count
        letters = {"total": sum(answer.letters.values()), "by_reason": _letters(answer), "by_day": days}
    document = {"streams": answer.streams, **_outcome(answer.total), "dead_letters": letters}
    if by == "reason":
        document["by_reason"] = [
            {"outcome": outcome.replace(" ", "_"), "reason": reason, "events": count}
            for outcome, reason, count in _reasons(answer)
        ]
    elif by is not None:
        document[f"by_{by}"] = [{by: name, **_outcome(outcome)} for name, outcome in _groups(answer, by)]
    return document


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "numbered": outcome.numbered,
        "written": outcome.written,
        "dropped": dict(sorted(outcome.dropped.items())),
        "on_the_way": outcome.on_the_way,
        "unexplained": outcome.unexplained,
        "arrived_anyway": outcome.arrived_anyway,
        "missing": outcome.missing,
    }
