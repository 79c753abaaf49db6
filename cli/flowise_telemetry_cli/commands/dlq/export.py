"""``flowise-telemetry dlq export``: dead letters as JSON lines."""

from __future__ import annotations

import base64
import json
from typing import IO, Any

import click

from flowise_telemetry_cli.commands.dlq._reading import (
    choice_options,
    dead_letter_options,
    max_option,
    read_some,
    report_unread,
)
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import umask_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_consumer import StoredDeadLetter
from flowise_telemetry_consumer.dead_letters.letter_filter import LetterFilter

__all__ = ["export"]


@click.command()
@umask_option
@dead_letter_options
@choice_options
@max_option
@click.option("--output", type=click.File("w"), default="-", show_default=True, help="A file; - is standard output.")
@pass_invocation
def export(
    invocation: Invocation,
    *,
    topic: str,
    group: str | None,
    chosen: LetterFilter,
    max_letters: int | None,
    output: IO[str],
) -> int:
    """Export dead letters as JSON lines with key, value and headers in base64, to keep them past the retention.

    The bytes are those that were sent, and may be sensitive: protect the file accordingly.

    \b
    Example:
      flowise-telemetry dlq export --output dead-letters.jsonl --bootstrap-servers localhost:9092
    """

    def write(record: StoredDeadLetter) -> None:
        output.write(json.dumps(_document(record)) + "\n")

    reading = read_some(invocation, topic, write, group=group, chosen=chosen, max_letters=max_letters)
    echo(f"{reading.count:,} dead letters of {topic} exported", err=True)
    return report_unread(topic, unread=reading.unread, incomplete=reading.incomplete)


def _document(stored: StoredDeadLetter) -> dict[str, Any]:
    source = stored.identity
    return {
        "source": {
            "topic": source.topic,
            "partition": source.partition,
            "offset": source.offset,
            "timestamp_ms": source.timestamp_ms,
        },
        "reason": stored.reason,
        "stage": stored.stage,
        "field": stored.field,
        "message": stored.message,
        "schema": stored.schema,
        "group": stored.group,
        "failed_at": stored.failed_at,
        "redrive_count": stored.redrive_count,
        "timestamp_ms": stored.record.timestamp_ms,
        "key": _base64(stored.record.key),
        "value": _base64(stored.record.value),
        "left_out": stored.cut,
        "value_bytes": stored.value_bytes,
        "value_sha256": stored.value_sha256,
        "headers": [[name, _base64(content)] for name, content in stored.record.headers],
    }


def _base64(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode("ascii")
