"""Dead letters as JSON lines."""

from __future__ import annotations

import base64
import itertools
import json
from typing import IO, Any

import click

from flowise_telemetry_cli.connection import CLOSE_SECONDS
from flowise_telemetry_cli.dlq_ending import ending
from flowise_telemetry_consumer import FiledDeadLetter, IncompleteReadError, UnreadLetters, current_dead_letters
from flowise_telemetry_transport import KafkaSettings, open_reader

__all__ = ["export_letters"]


def export_letters(
    settings: KafkaSettings,
    topic: str,
    output: IO[str],
    *,
    group: str | None,
    reasons: tuple[str, ...],
    max_letters: int | None,
) -> int:
    """Writes a line for each letter that counts; the exit status."""
    reader = open_reader(settings)
    unread, incomplete = UnreadLetters(), None
    count = 0
    try:
        chosen = current_dead_letters(reader, topic, reasons=reasons, group=group, unread=unread)
        for letter in itertools.islice(chosen, max_letters):
            output.write(json.dumps(_document(letter)) + "\n")
            count += 1
    except IncompleteReadError as error:
        incomplete = error.message
    finally:
        reader.close(timeout_seconds=CLOSE_SECONDS)
    click.echo(f"{count:,} dead letters of {topic} exported", err=True)
    return ending(topic, unread=unread, incomplete=incomplete)


def _document(letter: FiledDeadLetter) -> dict[str, Any]:
    about = letter.identity
    return {
        "source": {
            "topic": about.topic,
            "partition": about.partition,
            "offset": about.offset,
            "timestamp_ms": about.timestamp_ms,
        },
        "reason": letter.reason,
        "stage": letter.stage,
        "field": letter.field,
        "message": letter.message,
        "schema": letter.schema,
        "group": letter.group,
        "failed_at": letter.failed_at,
        "redrive_count": letter.redrive_count,
        "timestamp_ms": letter.record.timestamp_ms,
        "key": _base64(letter.record.key),
        "value": _base64(letter.record.value),
        "headers": [[name, _base64(content)] for name, content in letter.record.headers],
    }


def _base64(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode("ascii")
