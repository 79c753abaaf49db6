"""``flowise-telemetry dlq``: what could not be written, why, and how it gets in after all."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import click

from flowise_telemetry_cli.commands.dlq._reading import ending
from flowise_telemetry_cli.commands.dlq.export import export_letters
from flowise_telemetry_cli.commands.dlq.redrive import redrive_letters
from flowise_telemetry_cli.commands.dlq.show import show_letters
from flowise_telemetry_cli.options import CLOSE_SECONDS, connection_options, kafka_settings, topic_option
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_consumer import DeadLetterSummary, list_dead_letters
from flowise_telemetry_consumer.dead_letters.redrive import DEFAULT_MAX_REDRIVES
from flowise_telemetry_consumer.dead_letters.summary import DeadLetterGroup
from flowise_telemetry_consumer.replay.bounds import time_text
from flowise_telemetry_consumer.service.settings import dead_letter_topic_of
from flowise_telemetry_schemas import TelemetryError
from flowise_telemetry_transport import KafkaSettings, open_admin, open_reader

__all__ = ["dlq"]

_COLUMNS = ("reason", "event", "schema", "group", "hour")
_DAY_MS = 86_400_000

_Command = TypeVar("_Command", bound=Callable[..., Any])


@click.group()
def dlq() -> None:
    """The dead letters: records that are no valid events."""


def _dead_letter_options(command: _Command) -> _Command:
    where = click.option("--dead-letter-topic", help="Where they are.  [default: the topic's name with .dlq]")
    whose = click.option("--group", help="Only those that this consumer group filed; unknown: those that name none.")
    return connection_options(topic_option(where(whose(command))))


@dlq.command(name="list")
@_dead_letter_options
@click.option(
    "--by",
    "columns",
    type=click.Choice(_COLUMNS),
    multiple=True,
    default=("reason", "event", "schema", "group"),
    show_default=True,
    help="What to count by; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def list_letters(
    ctx: click.Context,
    *,
    topic: str,
    dead_letter_topic: str | None,
    group: str | None,
    columns: tuple[str, ...],
    as_json: bool,
) -> int:
    """Count the dead letters by reason, event, schema, group and hour, and say how long they can still be redriven.

    Each record counts once for each consumer group, by its latest letter; what was redriven counts no longer.

    \b
    Example:
      flowise-telemetry dlq list --by reason --by hour --bootstrap-servers localhost:9092
    """
    settings, name = kafka_settings(ctx), dead_letter_topic or dead_letter_topic_of(topic)
    reader = open_reader(settings)
    try:
        summary = list_dead_letters(reader, name, group=group)
    finally:
        reader.close(timeout_seconds=CLOSE_SECONDS)
    chosen = [column for column in _COLUMNS if column in columns]
    counts = _grouped(summary.groups, chosen)
    if as_json:
        for values, count in sorted(counts.items()):
            click.echo(json.dumps({**dict(zip(chosen, values, strict=True)), "count": count}))
    elif counts:
        click.echo(table((*chosen, "count"), [(*values, count) for values, count in sorted(counts.items())]))
    click.echo(_total(summary), err=True)
    if summary.total:
        click.echo(_retention(settings, summary), err=True)
    return ending(summary.topic, unread=summary.unread, incomplete=summary.incomplete)


def _grouped(groups: Counter[DeadLetterGroup], columns: list[str]) -> Counter[tuple[str, ...]]:
    counts: Counter[tuple[str, ...]] = Counter()
    for group, count in groups.items():
        counts[tuple(getattr(group, column) for column in columns)] += count
    return counts


def _total(summary: DeadLetterSummary) -> str:
    text = f"{summary.total:,} dead letters in {summary.topic}"
    if summary.redriven:
        text += f", {summary.redriven:,} redriven"
    if summary.repeats:
        text += f", {summary.repeats:,} letters of records that have another"
    return text


def _retention(settings: KafkaSettings, summary: DeadLetterSummary) -> str:
    """How long the oldest is still there. Kafka removes whole segments: it may stay for longer, never for less."""
    if summary.oldest_ms is None:
        return "when they expire is not known: they carry no time"
    since = f"the oldest is of {time_text(summary.oldest_ms)}"
    try:
        admin = open_admin(settings)
        try:
            retention_ms = int(admin.settings_of(summary.topic).get("retention.ms", ""))
        finally:
            admin.close()
    except (TelemetryError, ValueError):
        return f"{since}; the retention of {summary.topic} cannot be had"
    if retention_ms < 0:
        return f"{since}; {summary.topic} keeps them for ever"
    left_ms = summary.oldest_ms + retention_ms - time.time_ns() // 1_000_000
    if left_ms <= 0:
        return f"{since}; its retention of {retention_ms / _DAY_MS:.1f} days is over: it may go at any moment"
    return f"{since}; retention left: {left_ms / _DAY_MS:.1f} of {retention_ms / _DAY_MS:.1f} days"


_reasons = click.option("--reason", "reasons", multiple=True, help="Only those with this reason; repeatable.")


@dlq.command()
@_dead_letter_options
@_reasons
@click.option("--max", "max_letters", type=click.IntRange(min=1), default=10, show_default=True, help="How many.")
@click.option("--values", is_flag=True, help="With the values of fields, headers and bytes: they may be anything.")
@click.pass_context
def show(
    ctx: click.Context,
    *,
    topic: str,
    dead_letter_topic: str | None,
    group: str | None,
    reasons: tuple[str, ...],
    max_letters: int,
    values: bool,
) -> int:
    """Show dead letters one by one: what is wrong, the headers, and the bytes decoded as far as they go.

    What a record says is left out unless --values is given: who sent it may have put anything there.

    \b
    Example:
      flowise-telemetry dlq show --reason constraint --max 3 --bootstrap-servers localhost:9092
    """
    return show_letters(
        kafka_settings(ctx),
        dead_letter_topic or dead_letter_topic_of(topic),
        group=group,
        reasons=reasons,
        max_letters=max_letters,
        values=values,
    )


@dlq.command()
@_dead_letter_options
@click.option("--sink", metavar="URL", help="Where to; see consume --help for the URLs.")
@_reasons
@click.option("--max", "max_letters", type=click.IntRange(min=1), help="At most so many.  [default: all]")
@click.option(
    "--max-redrives",
    type=click.IntRange(min=1),
    default=DEFAULT_MAX_REDRIVES,
    show_default=True,
    help="Leave those alone that were redriven so often already.",
)
@click.option("--dry-run", is_flag=True, help="Say what would become of them; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON object.")
@click.pass_context
def redrive(
    ctx: click.Context,
    *,
    topic: str,
    dead_letter_topic: str | None,
    group: str | None,
    sink: str | None,
    reasons: tuple[str, ...],
    max_letters: int | None,
    max_redrives: int,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Bring the dead letters that there are now through the whole pipeline again, into a sink.

    For after the mend: a schema version was added, a bound was widened. What is good now is written and counts no
    longer; what is still bad stays a dead letter, once, with its latest reason. Where several consumer groups filed
    dead letters, --group names the one whose sink it is. Exit status 3: some are still bad or were left.

    \b
    Example:
      flowise-telemetry dlq redrive --reason unknown_fingerprint --sink sqlite:///telemetry.db
    """
    if sink is None and not dry_run:
        raise click.UsageError("Missing option '--sink' (or --dry-run).")
    return redrive_letters(
        kafka_settings(ctx),
        dead_letter_topic or dead_letter_topic_of(topic),
        sink_url=None if dry_run else sink,
        group=group,
        reasons=reasons,
        max_letters=max_letters,
        max_redrives=max_redrives,
        as_json=as_json,
    )


@dlq.command()
@_dead_letter_options
@_reasons
@click.option("--max", "max_letters", type=click.IntRange(min=1), help="At most so many.  [default: all]")
@click.option("--output", type=click.File("w"), default="-", show_default=True, help="A file; - is standard output.")
@click.pass_context
def export(
    ctx: click.Context,
    *,
    topic: str,
    dead_letter_topic: str | None,
    group: str | None,
    reasons: tuple[str, ...],
    max_letters: int | None,
    output: Any,
) -> int:
    """Export dead letters as JSON lines with key, value and headers in base64, to keep them past the retention.

    The bytes are those that were sent: they may be anything. Treat the file accordingly.

    \b
    Example:
      flowise-telemetry dlq export --output dead-letters.jsonl --bootstrap-servers localhost:9092
    """
    return export_letters(
        kafka_settings(ctx),
        dead_letter_topic or dead_letter_topic_of(topic),
        output,
        group=group,
        reasons=reasons,
        max_letters=max_letters,
    )
