"""``flowise-telemetry skip``: have a consumer group leave records out."""

from __future__ import annotations

import json
from contextlib import ExitStack

import click

from flowise_telemetry_cli.errors import DONE
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import (
    CLOSE_SECONDS,
    connection_options,
    json_option,
    kafka_settings,
    require_topic,
    topic_option,
    umask_option,
)
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_consumer.service.settings import DEFAULT_GROUP
from flowise_telemetry_consumer.service.skip import SkipTo, leave_out
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_schemas import ConfigurationError

__all__ = ["skip"]


@click.command()
@connection_options
@topic_option
@umask_option
@click.option("--sink", metavar="URL", required=True, help="Sink that the group writes to.")
@click.option("--group", default=DEFAULT_GROUP, show_default=True, help="Consumer group; its consumers are stopped.")
@click.option(
    "--to",
    metavar="OFFSET|end|committed",
    required=True,
    help="Where to go on: an offset, the end, or where Kafka's own tools have set the group.",
)
@click.option("--partition", "partitions", type=click.IntRange(min=0), multiple=True, help="Only this one; repeatable.")
@click.option("--dry-run", is_flag=True, help="Say what would be left out; change nothing.")
@json_option("Print the offsets that are left out as one JSON object.")
@pass_invocation
def skip(
    invocation: Invocation,
    *,
    topic: str,
    sink: str,
    group: str,
    to: str,
    partitions: tuple[int, ...],
    dry_run: bool,
    as_json: bool,
) -> int:
    """Have a stopped consumer group go on at a later offset: what lies between is not written.

    A consumer goes back to what its sink holds, so that a jump that was made with Kafka's own tools alone is undone.
    The records stay on the topic for as long as it keeps them; a replay can still write them.

    \b
    Example:
      flowise-telemetry skip --sink sqlite:///telemetry.db --to end --dry-run
    """
    with ExitStack() as opened:
        target = open_sink(sink)
        opened.callback(target.close)
        reader = invocation.open_reader(kafka_settings(invocation), group=group)
        opened.callback(reader.close, timeout_seconds=CLOSE_SECONDS)
        require_topic(reader, topic)
        jumps = leave_out(
            reader, target, topic=topic, group=group, to=_target(to), partitions=partitions, dry_run=dry_run
        )
    count = sum(jump.end - jump.start for jump in jumps)
    rows = [(jump.partition.partition, jump.start, jump.end) for jump in jumps]
    if as_json:
        left_out = [{"partition": number, "from": start, "to": end} for number, start, end in rows]
        echo(json.dumps({"group": group, "topic": topic, "dry_run": dry_run, "left_out": left_out}))
    elif rows:
        echo(table(("partition", "from", "to"), rows))
    done = "would leave" if dry_run else "leaves"
    echo(f"group {group} {done} out {count:,} offsets of {topic}", err=True)
    return DONE


def _target(text: str) -> SkipTo:
    match text:
        case "end" | "committed":
            return text
        case _ if text.isdecimal() and len(text) <= 18:
            return int(text)
        case _:
            raise ConfigurationError(f"{text[:40]!r} is no offset, and neither end nor committed", argument="to")
