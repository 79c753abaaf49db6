"""Reading the dead-letter topic: the options that choose records, the loop over them, and the final status."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import click

from flowise_telemetry_cli.errors import DONE, INCOMPLETE
from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_cli.options import CLOSE_SECONDS, connection_options, kafka_settings, topic_option
from flowise_telemetry_consumer import IncompleteReadError, StoredDeadLetter, current_dead_letters
from flowise_telemetry_consumer.dead_letters.reader import READ_CONTROL, UnreadLetters
from flowise_telemetry_consumer.retry import RunControl
from flowise_telemetry_consumer.service.settings import dead_letter_topic_of

__all__ = [
    "Reading",
    "dead_letter_options",
    "max_option",
    "read_control",
    "read_some",
    "reasons_option",
    "report_unread",
]

_Command = TypeVar("_Command", bound=Callable[..., Any])

reasons_option = click.option(
    "--reason", "reasons", multiple=True, help="Only dead letters with this reason; repeatable."
)
max_option = click.option(
    "--max", "max_letters", type=click.IntRange(min=1), help="Maximum number of dead letters.  [default: all]"
)


def dead_letter_options(command: _Command) -> _Command:
    """Add the connection, ``--group`` and the topic; the command gets the dead-letter topic as ``topic``."""

    @functools.wraps(command)
    def with_topic(*args: Any, topic: str, dead_letter_topic: str | None, **options: Any) -> Any:
        return command(*args, topic=dead_letter_topic or dead_letter_topic_of(topic), **options)

    where = click.option("--dead-letter-topic", help="Dead-letter topic.  [default: the topic's name with .dlq]")
    whose = click.option("--group", help="Only dead letters of this consumer group; unknown: those without one.")
    return cast("_Command", connection_options(topic_option(where(whose(with_topic)))))


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
    reasons: tuple[str, ...],
    max_letters: int | None,
) -> Reading:
    """Pass the first ``max_letters`` current dead letters to ``take``, one by one."""
    reader = invocation.open_reader(kafka_settings(invocation))
    reading = Reading()
    try:
        chosen = current_dead_letters(
            reader, topic, reasons=reasons, group=group, unread=reading.unread, control=read_control(invocation)
        )
        for record in itertools.islice(chosen, max_letters):
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
        click.echo(f"error: dead letters not read from {topic}: {unread}", err=True)
    if incomplete is not None:
        click.echo(f"error: incomplete: {incomplete}", err=True)
    return INCOMPLETE if unread or incomplete is not None else DONE
