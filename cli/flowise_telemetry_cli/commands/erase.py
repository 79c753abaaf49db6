"""``flowise-telemetry erase``: remove the events of an id from a sink, for good."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack

import click

from flowise_telemetry_cli.errors import DONE, INCOMPLETE
from flowise_telemetry_cli.options import json_option, umask_option
from flowise_telemetry_cli.output.progress import ProgressDisplay, Status
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_cli.signals import stopped_by_signals
from flowise_telemetry_consumer.sinks import Erasable, open_sink
from flowise_telemetry_consumer.sinks.erasures import ErasedIds
from flowise_telemetry_consumer.sinks.kafka_topic import TOPIC_SCHEME
from flowise_telemetry_consumer.sinks.registry import no_erasing
from flowise_telemetry_schemas import ConfigurationError

__all__ = ["erase"]


@click.command()
@umask_option
@click.option("--sink", metavar="URL", required=True, help="Sink to erase events from.")
@click.option("--instance-id", metavar="ID", multiple=True, help="All of an installation's month.")
@click.option("--chatflow-id", metavar="ID", multiple=True, help="All of a flow, by the id that the sink has.")
@click.option("--event-id", metavar="ID", multiple=True, help="One event.")
@click.option("--yes", is_flag=True, help="Erase them. Without it the events are counted, and nothing is changed.")
@click.option("--dry-run", is_flag=True, help="Count the events; change nothing. The default.")
@json_option("Print the counts as one JSON object.")
def erase(
    *,
    sink: str,
    instance_id: tuple[str, ...],
    chatflow_id: tuple[str, ...],
    event_id: tuple[str, ...],
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Erase the events that have one of these ids, and leave them out of whatever is written to the sink later.

    Ids may be repeated. Without --yes it says how many events there are, by table, and changes nothing. Hashes of the
    ids stay in the sink, so that no consumer, replay, redrive or import brings the events back; each counts them as
    erased. The topic has them until its retention removes them.

    \b
    Example:
      flowise-telemetry erase --sink sqlite:///telemetry.db --instance-id 6a0e4c11-…
      flowise-telemetry erase --sink sqlite:///telemetry.db --instance-id 6a0e4c11-… --yes
    """
    ids = ErasedIds.of({"instance_id": instance_id, "chatflow_id": chatflow_id, "event_id": event_id})
    if sink.startswith(TOPIC_SCHEME):
        raise ConfigurationError(
            "a topic keeps no hashes, and its records go with its retention: name the sinks that it fills",
            argument="sink",
        )
    only_counts = dry_run or not yes
    removed: Counter[str] = Counter()
    with ExitStack() as opened:
        target = open_sink(sink)
        opened.callback(target.close)
        if not isinstance(target, Erasable):
            raise no_erasing(target)
        display = opened.enter_context(ProgressDisplay(_status))
        stop = opened.enter_context(stopped_by_signals())
        for step in target.erase(ids, dry_run=only_counts):
            removed.update(step)
            display.show(removed)
            if stop.is_set():
                break
        stopped = stop.is_set()
    done = "would be erased" if only_counts else "erased"
    if as_json:
        document = {
            "dry_run": only_counts,
            "complete": not stopped,
            "erased": dict(sorted(removed.items())),
            "remains": target.remains(),
        }
        echo(json.dumps(document))
    elif removed:
        echo(table(("table", done), sorted(removed.items())))
    echo(f"{target.url}: {removed.total():,} events {done}", err=True)
    if only_counts:
        echo("dry run: nothing was changed; --yes erases them", err=True)
    else:
        echo(f"what is left of them: {target.remains()}", err=True)
    if stopped:
        echo("error: incomplete: stopped before the end; start it again", err=True)
    return INCOMPLETE if stopped else DONE


def _status(removed: Counter[str], _seconds: float) -> Status:
    return Status(f"{removed.total():,} events so far")
