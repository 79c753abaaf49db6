"""Dead letters one by one, for people."""

from __future__ import annotations

import click

from flowise_telemetry_cli.commands.dlq._reading import ending, pass_letters
from flowise_telemetry_consumer import StoredDeadLetter
from flowise_telemetry_consumer.dead_letters.headers import original_headers
from flowise_telemetry_consumer.dead_letters.inspect import hexdump, inspect
from flowise_telemetry_schemas import catalog
from flowise_telemetry_schemas.codec import HEADER_BYTES, MARKER
from flowise_telemetry_transport import KafkaSettings

__all__ = ["show_letters"]

_MAX_DUMP_BYTES = 512


def show_letters(
    settings: KafkaSettings,
    topic: str,
    *,
    group: str | None,
    reasons: tuple[str, ...],
    max_letters: int,
    values: bool,
) -> int:
    """Prints the first letters that count, a paragraph each; the exit status."""
    between = ""

    def show(letter: StoredDeadLetter) -> None:
        nonlocal between
        click.echo(between + "\n".join(_paragraph(letter, values=values)))
        between = "\n"

    passage = pass_letters(settings, topic, show, group=group, reasons=reasons, max_letters=max_letters)
    if passage.incomplete is not None:
        click.echo(f"{passage.count:,} dead letters of {topic} shown", err=True)
    elif not passage.count:
        click.echo(f"no such dead letters in {topic}", err=True)
    return ending(topic, unread=passage.unread, incomplete=passage.incomplete)


def _paragraph(letter: StoredDeadLetter, *, values: bool) -> list[str]:
    record = letter.record
    about = letter.identity
    said = {
        "record": f"{about.topic}[{about.partition}] offset {about.offset}",
        "letter": f"{record.topic}[{record.partition}] offset {record.offset}",
        "reason": letter.reason,
        "stage": letter.stage,
        "field": letter.field,
        "error": letter.error_class,
        "message": letter.message,
        "schema": letter.schema,
        "group": letter.group,
        "failed at": letter.failed_at,
        "redrives": str(letter.redrive_count),
    }
    lines = [f"{name + ':':<10} {text}" for name, text in said.items() if text is not None]
    for name, content in original_headers(record):
        lines.append(f"header:    {_bytes_text(content, values=values, name=name)}")
    lines.append(f"key:       {_bytes_text(record.key, values=values)}")
    return [*lines, *_value_lines(record.value, values=values)]


def _bytes_text(content: bytes | None, *, values: bool, name: str = "") -> str:
    # A header's name comes from outside as well.
    what = repr(name)[1:-1] if values else f"{len(name)} characters" if name else ""
    size = "null" if content is None else f"{len(content)} bytes"
    shown = f" {content!r}" if values and content is not None else ""
    return f"{what + ': ' if what else ''}{size}{shown}"


def _value_lines(value: bytes | None, *, values: bool) -> list[str]:
    if value is None:
        return ["value:     null"]
    lines = [f"value:     {len(value)} bytes"]
    # A framing says which schema wrote the record, and nothing that an app put into it.
    framing = value[:HEADER_BYTES] if value.startswith(MARKER) else b""
    dump = value[:_MAX_DUMP_BYTES] if values else framing
    if dump:
        lines += [f"  {line}" for line in hexdump(dump).splitlines()]
    if len(dump) < len(value):
        lines.append(f"  and {len(value) - len(dump)} bytes more" + ("" if values else " (--values shows them)"))
    found = inspect(value, catalog())
    if found.schema is not None:
        lines.append(f"decoded as {found.schema.event} v{found.schema.version}:")
    for field in found.fields:
        shown = f" {field.value!r}" if values else ""
        lines.append(f"  {field.name}: bytes {field.start} to {field.end - 1}{shown}")
    if found.error is not None:
        lines.append(f"  {found.error}")
    return [*lines, *(f"  {rule}" for rule in found.broken_rules)]
