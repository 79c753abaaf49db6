"""``flowise-telemetry dlq restore``: take the receipts of dead letters back."""

from __future__ import annotations

from functools import partial

import click

from flowise_telemetry_cli.commands.dlq._reading import (
    choice_options,
    dead_letter_options,
    require_choice,
    since_ms_of,
)
from flowise_telemetry_cli.commands.dlq._settling import settle
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import json_option
from flowise_telemetry_consumer.dead_letters.letter_filter import LetterFilter
from flowise_telemetry_consumer.dead_letters.settle import restore as restore_letters

__all__ = ["restore"]


@click.command()
@dead_letter_options
@choice_options
@click.option(
    "--ended-since",
    metavar="WHEN",
    help="Only what was redriven or discarded at this time or later: 2026-01-31T12:00Z, 2d ago.",
)
@click.option("--all", "everything", is_flag=True, help="Every one of them, in place of a filter.")
@click.option("--dry-run", is_flag=True, help="Report what would happen; change nothing.")
@json_option("Print the result as one JSON object.")
@pass_invocation
def restore(
    invocation: Invocation,
    *,
    topic: str,
    group: str | None,
    chosen: LetterFilter,
    ended_since: str | None,
    everything: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Take receipts back: dead letters that were redriven or discarded count again, and can be redriven.

    For use after a redrive into the wrong sink. Each is filed anew, if it is still in the topic; what that sink has
    stays there.

    \b
    Example:
      flowise-telemetry dlq restore --ended-since 2026-01-31T12:00Z --partition 3 --offset 1200-1300
    """
    require_choice(is_chosen=bool(chosen) or ended_since is not None, everything=everything)
    ended_since_ms = since_ms_of(ended_since, argument="ended_since")
    act = partial(restore_letters, chosen=chosen, group=group, ended_since_ms=ended_since_ms)
    return settle(invocation, act, topic=topic, done="restored", dry_run=dry_run, as_json=as_json)
