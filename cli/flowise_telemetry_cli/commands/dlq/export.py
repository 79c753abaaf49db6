"""Dead letters as JSON lines."""

from __future__ import annotations

import base64
import json
from typing import IO, Any

import click

from flowise_telemetry_cli.commands.dlq._reading import ending, pass_letters
from flowise_telemetry_consumer import StoredDeadLetter
from flowise_telemetry_transport import KafkaSettings

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

    def write(letter: StoredDeadLetter) -> None:
        output.write(json.dumps(_document(letter)) + "\n")

    passage = pass_letters(settings, topic, write, group=group, reasons=reasons, max_letters=max_letters)
    click.echo(f"{passage.count:,} dead letters of {topic} exported", err=True)
    return ending(topic, unread=passage.unread, incomplete=passage.incomplete)


def _document(letter: StoredDeadLetter) -> dict[str, Any]:
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
