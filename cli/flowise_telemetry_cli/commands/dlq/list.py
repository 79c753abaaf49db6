"""``flowise-telemetry dlq list``: counts of dead letters, and how long they can still be redriven."""

from __future__ import annotations

import json
import time
from collections import Counter

import click

from flowise_telemetry_cli.commands.dlq._reading import choice_options, dead_letter_options, read_control, report_unread
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import CLOSE_SECONDS, json_option, kafka_settings
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_consumer import DeadLetterSummary, list_dead_letters
from flowise_telemetry_consumer.dead_letters.letter_filter import LetterFilter
from flowise_telemetry_consumer.dead_letters.summary import DeadLetterGroup
from flowise_telemetry_consumer.replay.bounds import time_text
from flowise_telemetry_schemas import TelemetryError

__all__ = ["list_"]

_COLUMNS = ("reason", "event", "schema", "group", "hour")
_DAY_MS = 86_400_000


@click.command(name="list")
@dead_letter_options
@choice_options
@click.option(
    "--by",
    "columns",
    type=click.Choice(_COLUMNS),
    multiple=True,
    default=("reason", "event", "schema", "group"),
    show_default=True,
    help="Column to count by; repeatable.",
)
@json_option("Print one JSON object a line.")
@pass_invocation
def list_(
    invocation: Invocation,
    *,
    topic: str,
    group: str | None,
    chosen: LetterFilter,
    columns: tuple[str, ...],
    as_json: bool,
) -> int:
    """Count the dead letters by reason, event, schema, group and hour, and say how long they can still be redriven.

    A record counts once for each consumer group, by its latest dead letter, until it is redriven or
    discarded.

    \b
    Example:
      flowise-telemetry dlq list --by reason --by hour --bootstrap-servers localhost:9092
    """
    reader = invocation.open_reader(kafka_settings(invocation))
    try:
        summary = list_dead_letters(reader, topic, chosen=chosen, group=group, control=read_control(invocation))
    finally:
        reader.close(timeout_seconds=CLOSE_SECONDS)
    shown = [column for column in _COLUMNS if column in columns]
    counts = _counted_by(shown, summary.groups)
    if as_json:
        for values, count in sorted(counts.items()):
            echo(json.dumps({**dict(zip(shown, values, strict=True)), "count": count}))
    elif counts:
        echo(table((*shown, "count"), [(*values, count) for values, count in sorted(counts.items())]))
    echo(_total(summary), err=True)
    if summary.total:
        echo(_retention(invocation, summary), err=True)
    return report_unread(summary.topic, unread=summary.unread, incomplete=summary.incomplete)


def _counted_by(columns: list[str], groups: Counter[DeadLetterGroup]) -> Counter[tuple[str, ...]]:
    counts: Counter[tuple[str, ...]] = Counter()
    for group, count in groups.items():
        counts[tuple(getattr(group, column) for column in columns)] += count
    return counts


def _total(summary: DeadLetterSummary) -> str:
    text = f"{summary.total:,} dead letters in {summary.topic}"
    if summary.redriven:
        text += f", {summary.redriven:,} redriven"
    if summary.discarded:
        text += f", {summary.discarded:,} discarded"
    if summary.repeats:
        text += f", {summary.repeats:,} superseded by a later one of the same record"
    return text


def _retention(invocation: Invocation, summary: DeadLetterSummary) -> str:
    """Say how long the oldest stays at least: Kafka removes whole segments, so it may stay longer, never shorter."""
    if summary.oldest_ms is None:
        return "it is unknown when they expire: they have no timestamp"
    since = f"the oldest is from {time_text(summary.oldest_ms)}"
    try:
        admin = invocation.open_admin(kafka_settings(invocation))
        try:
            retention_ms = int(admin.settings_of(summary.topic).get("retention.ms", ""))
        finally:
            admin.close()
    except (TelemetryError, ValueError):
        return f"{since}; the broker does not report the retention of {summary.topic}"
    if retention_ms < 0:
        return f"{since}; {summary.topic} keeps them forever"
    left_ms = summary.oldest_ms + retention_ms - time.time_ns() // 1_000_000
    if left_ms <= 0:
        return f"{since}; its retention of {retention_ms / _DAY_MS:.1f} days is over: it may be deleted at any moment"
    return f"{since}; retention left: {left_ms / _DAY_MS:.1f} of {retention_ms / _DAY_MS:.1f} days"
