"""How a command that read the dead-letter topic ends."""

from __future__ import annotations

import click

from flowise_telemetry_cli.exit_status import DONE, INCOMPLETE
from flowise_telemetry_consumer import UnreadLetters

__all__ = ["ending"]


def ending(topic: str, *, unread: UnreadLetters, incomplete: str | None) -> int:
    """Says on stderr what of the topic was not read, a line for each kind; the exit status that comes of it."""
    if unread:
        click.echo(f"error: not read of {topic}: {unread}", err=True)
    if incomplete is not None:
        click.echo(f"error: incomplete: {incomplete}", err=True)
    return INCOMPLETE if unread or incomplete is not None else DONE
