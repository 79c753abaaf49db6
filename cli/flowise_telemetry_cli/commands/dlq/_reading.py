"""How commands go through the dead-letter topic, and how they end."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import click

from flowise_telemetry_cli.errors import DONE, INCOMPLETE
from flowise_telemetry_cli.options import CLOSE_SECONDS
from flowise_telemetry_consumer import IncompleteReadError, StoredDeadLetter, current_dead_letters
from flowise_telemetry_consumer.dead_letters.reader import UnreadLetters
from flowise_telemetry_transport import KafkaSettings, open_reader

__all__ = ["Passage", "ending", "pass_letters"]


@dataclass(slots=True)
class Passage:
    """How many letters were passed on, what of the topic could not be read, and why it ended early, if it did."""

    count: int = 0
    unread: UnreadLetters = field(default_factory=UnreadLetters)
    incomplete: str | None = None


def pass_letters(
    settings: KafkaSettings,
    topic: str,
    take: Callable[[StoredDeadLetter], object],
    *,
    group: str | None,
    reasons: tuple[str, ...],
    max_letters: int | None,
) -> Passage:
    """Hands the first letters that count to ``take``, one by one."""
    reader = open_reader(settings)
    passage = Passage()
    try:
        chosen = current_dead_letters(reader, topic, reasons=reasons, group=group, unread=passage.unread)
        for letter in itertools.islice(chosen, max_letters):
            take(letter)
            passage.count += 1
    except IncompleteReadError as error:
        passage.incomplete = error.message
    finally:
        reader.close(timeout_seconds=CLOSE_SECONDS)
    return passage


def ending(topic: str, *, unread: UnreadLetters, incomplete: str | None) -> int:
    """Says on stderr what of the topic was not read, a line for each kind; the exit status that comes of it."""
    if unread:
        click.echo(f"error: not read of {topic}: {unread}", err=True)
    if incomplete is not None:
        click.echo(f"error: incomplete: {incomplete}", err=True)
    return INCOMPLETE if unread or incomplete is not None else DONE
