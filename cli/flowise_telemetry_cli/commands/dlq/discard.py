"""``flowise-telemetry dlq discard``: end dead letters that nobody wants."""

from __future__ import annotations

from functools import partial

import click

from flowise_telemetry_cli.commands.dlq._reading import (
    choice_options,
    dead_letter_options,
    require_choice,
)
from flowise_telemetry_cli.commands.dlq._settling import settle
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import json_option
from flowise_telemetry_consumer.dead_letters.letter_filter import LetterFilter
from flowise_telemetry_consumer.dead_letters.settle import discard as discard_letters

__all__ = ["discard"]


@click.command()
@dead_letter_options
@choice_options
@click.option("--all", "everything", is_flag=True, help="Every one of them, in place of a filter.")
@click.option("--dry-run", is_flag=True, help="Report what would happen; change nothing.")
@json_option("Print the result as one JSON object.")
@pass_invocation
def discard(
    invocation: Invocation,
    *,
    topic: str,
    group: str | None,
    chosen: LetterFilter,
    everything: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Discard dead letters: they no longer count, and no redrive takes them.

    Each gets a receipt in the topic. Nothing is deleted: they stay for the topic's retention, and dlq restore brings
    them back for as long.

    \b
    Example:
      flowise-telemetry dlq discard --reason tombstone --since '2d ago' --dry-run
    """
    require_choice(is_chosen=bool(chosen), everything=everything)
    act = partial(discard_letters, chosen=chosen, group=group)
    return settle(invocation, act, topic=topic, done="discarded", dry_run=dry_run, as_json=as_json)
