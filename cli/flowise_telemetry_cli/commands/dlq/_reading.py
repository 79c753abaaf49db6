"""Reading the dead-letter topic: the options that choose records, the loop over them, and the final status."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import click

from flowise_telemetry_cli.errors import DONE, INCOMPLETE
from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_cli.options import (
    CLOSE_SECONDS,
    connection_options,
    kafka_settings,
    schemas_option,
    topic_option,
)
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_consumer import (
    IncompleteReadError,
    StoredDeadLetter,
    current_dead_letters,
    open_dead_letter_writer,
)
from flowise_telemetry_consumer.dead_letters.letter_filter import LETTER_REASONS, LetterFilter
from flowise_telemetry_consumer.dead_letters.reader import READ_CONTROL, UnreadLetters
from flowise_telemetry_consumer.replay.bounds import Bound
from flowise_telemetry_consumer.retry import RunControl
from flowise_telemetry_consumer.service.settings import dead_letter_topic_of
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport import RecordReader, RecordWriter

__all__ = [
    "Reading",
    "choice_options",
    "dead_letter_options",
    "max_option",
    "open_letters",
    "read_control",
    "read_some",
    "report_unread",
    "require_choice",
    "since_ms_of",
]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_CHOICE_OPTIONS = (
    click.option(
        "--reason",
        "reasons",
        type=click.Choice(LETTER_REASONS),
        metavar="REASON",
        multiple=True,
        help="Only dead letters with this reason; repeatable.",
    ),
    click.option(
        "--schema", "schemas", metavar="NAME", multiple=True, help="Only tool_created.v1 or a fingerprint; repeatable."
    ),
    click.option("--event", "events", metavar="NAME", multiple=True, help="Only this event; repeatable."),
    click.option(
        "--field", "fields", metavar="PATH", multiple=True, help="Only what failed at or inside this field; repeatable."
    ),
    click.option(
        "--partition",
        "partitions",
        type=click.IntRange(min=0),
        multiple=True,
        help="Only records of this partition of the source topic; repeatable.",
    ),
    click.option(
        "--offset",
        "offsets",
        metavar="N[-M]",
        multiple=True,
        help="Only records at this offset of the source topic, or from N to M; repeatable.",
    ),
    click.option("--since", metavar="WHEN", help="Only what failed at this time or later: 2026-01-31T12:00Z, 2d ago."),
)
max_option = click.option(
    "--max", "max_letters", type=click.IntRange(min=1), help="Maximum number of dead letters.  [default: all]"
)


def dead_letter_options(command: _Command) -> _Command:
    """Add the connection, ``--schemas``, ``--group``, topic; the command gets the dead-letter topic as ``topic``."""

    @functools.wraps(command)
    def with_topic(*args: Any, topic: str, dead_letter_topic: str | None, **options: Any) -> Any:
        return command(*args, topic=dead_letter_topic or dead_letter_topic_of(topic), **options)

    where = click.option("--dead-letter-topic", help="Dead-letter topic.  [default: the topic's name with .dlq]")
    whose = click.option("--group", help="Only dead letters of this consumer group; unknown: those without one.")
    return cast("_Command", connection_options(topic_option(schemas_option(where(whose(with_topic))))))


def choice_options(command: _Command) -> _Command:
    """Add the options that choose dead letters; the command gets them as ``chosen``."""

    @functools.wraps(command)
    def with_choice(
        *args: Any,
        reasons: tuple[str, ...],
        schemas: tuple[str, ...],
        events: tuple[str, ...],
        fields: tuple[str, ...],
        partitions: tuple[int, ...],
        offsets: tuple[str, ...],
        since: str | None,
        **options: Any,
    ) -> Any:
        chosen = LetterFilter.of(
            click.get_current_context().ensure_object(Invocation).catalog,
            reasons=reasons,
            schemas=schemas,
            events=events,
            fields=fields,
            partitions=partitions,
            offsets=offsets,
            since_ms=since_ms_of(since, argument="since"),
        )
        return command(*args, chosen=chosen, **options)

    added: Any = with_choice
    for option in reversed(_CHOICE_OPTIONS):
        added = option(added)
    return cast("_Command", added)


def since_ms_of(text: str | None, *, argument: str) -> int | None:
    """Return a time in milliseconds since 1970. Raises ``ConfigurationError`` for what is no time."""
    if text is None:
        return None
    time_ms = Bound.parse(text, now_ms=time.time_ns() // 1_000_000, argument=argument).time_ms
    if time_ms is None:
        raise ConfigurationError(
            f"{text!r} is not a time: give one (2026-01-31T12:00Z) or an age (2d ago)", argument=argument
        )
    return time_ms


def require_choice(*, is_chosen: bool, everything: bool) -> None:
    """Raise ``UsageError`` unless either something is chosen, or all of it is asked for."""
    if is_chosen == everything:
        raise click.UsageError("Say which dead letters: give --reason, --offset or another filter, or else --all.")


def open_letters(
    opened: ExitStack, invocation: Invocation, topic: str, *, writes: bool
) -> tuple[RecordReader, RecordWriter | None]:
    """Open a reader and, if the command ``writes``, a writer; both close with the stack."""
    settings = kafka_settings(invocation)
    reader = invocation.open_reader(settings)
    opened.callback(reader.close, timeout_seconds=CLOSE_SECONDS)
    reader.partitions_of(topic)
    if not writes:
        return reader, None
    writer = open_dead_letter_writer(settings, open_writer=invocation.open_writer)
    opened.callback(writer.close, timeout_seconds=CLOSE_SECONDS)
    return reader, writer


def read_control(invocation: Invocation) -> RunControl:
    """Return the limits of a command whose answer someone waits for."""
    return dataclasses.replace(READ_CONTROL, clock=invocation.clock or READ_CONTROL.clock)


@dataclass(slots=True)
class Reading:
    """Number of dead letters passed on, records that could not be read, and why reading ended early, if it did."""

    count: int = 0
    unread: UnreadLetters = field(default_factory=UnreadLetters)
    incomplete: str | None = None


def read_some(
    invocation: Invocation,
    topic: str,
    take: Callable[[StoredDeadLetter], object],
    *,
    group: str | None,
    chosen: LetterFilter,
    max_letters: int | None,
) -> Reading:
    """Pass the first ``max_letters`` current dead letters to ``take``, one by one."""
    reader = invocation.open_reader(kafka_settings(invocation))
    reading = Reading()
    try:
        letters = current_dead_letters(
            reader, topic, chosen=chosen, group=group, unread=reading.unread, control=read_control(invocation)
        )
        for record in itertools.islice(letters, max_letters):
            take(record)
            reading.count += 1
    except IncompleteReadError as error:
        reading.incomplete = error.message
    finally:
        reader.close(timeout_seconds=CLOSE_SECONDS)
    return reading


def report_unread(topic: str, *, unread: UnreadLetters, incomplete: str | None) -> int:
    """Print on stderr which part of the topic was not read, and return the exit status."""
    if unread:
        echo(f"error: dead letters not read from {topic}: {unread}", err=True)
    if incomplete is not None:
        echo(f"error: incomplete: {incomplete}", err=True)
    return INCOMPLETE if unread or incomplete is not None else DONE
