"""``flowise-telemetry dlq``: what could not be written, and why."""

from __future__ import annotations

import json

import click

from flowise_telemetry_cli.connection import CLOSE_SECONDS, connection_options, kafka_settings, topic_option
from flowise_telemetry_cli.exit_status import DONE, INCOMPLETE
from flowise_telemetry_cli.table import table
from flowise_telemetry_consumer import dead_letter_topic_of, list_dead_letters
from flowise_telemetry_transport import open_reader

__all__ = ["dlq"]


@click.group()
def dlq() -> None:
    """The dead letters: records that are no valid events."""


@dlq.command(name="list")
@connection_options
@topic_option
@click.option("--dead-letter-topic", help="Where they are.  [default: the topic's name with .dlq]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def list_letters(ctx: click.Context, *, topic: str, dead_letter_topic: str | None, as_json: bool) -> int:
    """Count the dead letters by reason and schema.

    \b
    Example:
      flowise-telemetry dlq list --bootstrap-servers localhost:9092
    """
    reader = open_reader(kafka_settings(ctx))
    try:
        summary = list_dead_letters(reader, dead_letter_topic or dead_letter_topic_of(topic))
    finally:
        reader.close(timeout_seconds=CLOSE_SECONDS)
    rows = [(*key, count) for key, count in sorted(summary.by_reason_and_schema.items())]
    if as_json:
        for reason, schema, count in rows:
            click.echo(json.dumps({"reason": reason, "schema": schema, "count": count}))
    elif rows:
        click.echo(table(("reason", "schema", "count"), rows))
    click.echo(f"{summary.total:,} dead letters in {summary.topic}", err=True)
    if summary.incomplete is None:
        return DONE
    click.echo(f"error: incomplete: {summary.incomplete}", err=True)
    return INCOMPLETE
