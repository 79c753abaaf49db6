"""``flowise-telemetry dlq show``: dead letters one by one, for people."""

from __future__ import annotations

import click

from flowise_telemetry_cli.commands.dlq._reading import choice_options, dead_letter_options, read_some, report_unread
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.reading_catalog import reading_catalog
from flowise_telemetry_consumer import StoredDeadLetter
from flowise_telemetry_consumer.dead_letters.headers import original_headers
from flowise_telemetry_consumer.dead_letters.inspect import hexdump, inspect
from flowise_telemetry_consumer.dead_letters.letter_filter import LetterFilter
from flowise_telemetry_schemas import Catalog
from flowise_telemetry_schemas.codec import HEADER_BYTES, MARKER
from flowise_telemetry_schemas.printable import printable
from flowise_telemetry_schemas.wire_format import MAGIC, PREFIX_BYTES
from flowise_telemetry_transport.types import Record

__all__ = ["show"]

_MAX_DUMP_BYTES = 512


@click.command()
@dead_letter_options
@choice_options
@click.option(
    "--max", "max_letters", type=click.IntRange(min=1), default=10, show_default=True, help="Maximum number shown."
)
@click.option("--values", is_flag=True, help="Show values of fields, headers and bytes too; they may be sensitive.")
@pass_invocation
def show(
    invocation: Invocation,
    *,
    topic: str,
    group: str | None,
    chosen: LetterFilter,
    max_letters: int,
    values: bool,
) -> int:
    """Show dead letters one by one: the reason, the headers, and the bytes decoded as far as they can be.

    Values are left out unless --values is given: the sender may have put anything there.

    \b
    Example:
      flowise-telemetry dlq show --reason constraint --max 3 --bootstrap-servers localhost:9092
    """
    between = ""

    def print_one(record: StoredDeadLetter) -> None:
        nonlocal between
        echo(between + "\n".join(map(printable, _paragraph(record, invocation.catalog, values=values))))
        between = "\n"

    reading = read_some(invocation, topic, print_one, group=group, chosen=chosen, max_letters=max_letters)
    if reading.incomplete is not None:
        echo(f"{reading.count:,} dead letters of {topic} shown", err=True)
    elif not reading.count:
        echo(f"no such dead letters in {topic}", err=True)
    return report_unread(topic, unread=reading.unread, incomplete=reading.incomplete)


def _paragraph(stored: StoredDeadLetter, schemas: Catalog, *, values: bool) -> list[str]:
    record = stored.record
    source = stored.identity
    shown = {
        "record": f"{source.topic}[{source.partition}] offset {source.offset}",
        "filed as": f"{record.topic}[{record.partition}] offset {record.offset}",
        "reason": stored.reason,
        "stage": stored.stage,
        "field": stored.field,
        "error": stored.error_class,
        "message": stored.message,
        "schema": stored.schema,
        "group": stored.group,
        "failed at": stored.failed_at,
        "redrives": str(stored.redrive_count),
    }
    lines = [f"{name + ':':<10} {text}" for name, text in shown.items() if text is not None]
    for name, content in original_headers(record):
        lines.append(f"header:    {_bytes_text(content, values=values, name=name)}")
    lines.append(f"key:       {_bytes_text(record.key, values=values)}")
    if stored.cut is not None:
        size = "" if stored.value_bytes is None else f"{stored.value_bytes:,} bytes, "
        lines.append(f"left out:  {stored.cut}: too large for the topic ({size}SHA-256 {stored.value_sha256})")
        lines.append("           the record above has it for as long as its topic's retention keeps it")
    return [*lines, *_value_lines(record, schemas, values=values)]


def _bytes_text(content: bytes | None, *, values: bool, name: str = "") -> str:
    # A header's name comes from the sender as well.
    what = repr(name)[1:-1] if values else f"{len(name)} characters" if name else ""
    size = "null" if content is None else f"{len(content)} bytes"
    shown = f" {content!r}" if values and content is not None else ""
    return f"{what + ': ' if what else ''}{size}{shown}"


def _value_lines(record: Record, schemas: Catalog, *, values: bool) -> list[str]:
    value = record.value
    if value is None:
        return ["value:     null"]
    lines = [f"value:     {len(value)} bytes"]
    # The framing names the record's schema and holds nothing from an app.
    framing = value[: HEADER_BYTES if value.startswith(MARKER) else PREFIX_BYTES]
    if not value.startswith((MARKER, MAGIC)):
        framing = b""
    dump = value[:_MAX_DUMP_BYTES] if values else framing
    if dump:
        lines += [f"  {line}" for line in hexdump(dump).splitlines()]
    if len(dump) < len(value):
        lines.append(f"  and {len(value) - len(dump)} bytes more" + ("" if values else " (--values shows them)"))
    found = inspect(value, reading_catalog(schemas), record.headers)
    if found.schema is not None:
        lines.append(f"decoded as {found.schema.event} v{found.schema.version}:")
    for field in found.fields:
        shown = f" {field.value!r}" if values else ""
        lines.append(f"  {field.name}: bytes {field.start} to {field.end - 1}{shown}")
    if found.error is not None:
        lines.append(f"  {found.error}")
    return [*lines, *(f"  {rule}" for rule in found.broken_rules)]
