"""``flowise-telemetry erase``: remove the events of an id from a sink, for good."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from flowise_telemetry_cli.commands.dlq._reading import open_letters, report_unread
from flowise_telemetry_cli.errors import DONE, INCOMPLETE
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import (
    connection_options,
    json_option,
    kafka_settings,
    schemas_option,
    topic_option,
    umask_option,
)
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_cli.removal import removed_by
from flowise_telemetry_consumer.archives.erasing import erase_from_file
from flowise_telemetry_consumer.clock import SystemClock
from flowise_telemetry_consumer.dead_letters.erasing import ErasedLetters, erase_letters
from flowise_telemetry_consumer.export.erasing import erase_from_export
from flowise_telemetry_consumer.retry import RunControl
from flowise_telemetry_consumer.service.settings import dead_letter_topic_of
from flowise_telemetry_consumer.sinks import Erasable, KnowsEvents, open_sink
from flowise_telemetry_consumer.sinks.erasures import ErasedIds
from flowise_telemetry_consumer.sinks.kafka_topic import TOPIC_SCHEME
from flowise_telemetry_consumer.sinks.registry import no_erasing
from flowise_telemetry_schemas import Catalog, ConfigurationError

__all__ = ["erase"]


@click.command()
@connection_options
@topic_option
@schemas_option
@umask_option
@click.option("--sink", metavar="URL", required=True, help="Sink to erase events from.")
@click.option("--instance-id", metavar="ID", multiple=True, help="All of an installation's month.")
@click.option("--chatflow-id", metavar="ID", multiple=True, help="All of a flow, by the id that the sink has.")
@click.option("--event-id", metavar="ID", multiple=True, help="One event.")
@click.option(
    "--archive",
    "archives",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="Also write this file (JSON lines, CSV) or this export anew without them; repeatable.",
)
@click.option("--dead-letters", is_flag=True, help="Also end the topic's dead letters that hold one of the ids.")
@click.option("--dead-letter-topic", help="Dead-letter topic.  [default: the topic's name with .dlq]")
@click.option("--yes", is_flag=True, help="Erase them. Without it the events are counted, and nothing is changed.")
@click.option("--dry-run", is_flag=True, help="Count the events; change nothing. The default.")
@json_option("Print the counts as one JSON object.")
@pass_invocation
def erase(
    invocation: Invocation,
    *,
    topic: str,
    sink: str,
    instance_id: tuple[str, ...],
    chatflow_id: tuple[str, ...],
    event_id: tuple[str, ...],
    archives: tuple[Path, ...],
    dead_letters: bool,
    dead_letter_topic: str | None,
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
    with ExitStack() as opened:
        target = open_sink(sink, invocation.catalog)
        opened.callback(target.close)
        if not isinstance(target, Erasable):
            raise no_erasing(target)
        removed, stopped = removed_by(target.erase(ids, dry_run=only_counts), "events")
        unknown = target.unknown_tables() if isinstance(target, KnowsEvents) and not stopped else ()
    for archive in archives if not stopped else ():
        removed.update(_erase_from(archive, invocation.catalog, ids, dry_run=only_counts))
    letters = None
    if dead_letters and not stopped:
        where = dead_letter_topic or dead_letter_topic_of(topic)
        letters = _end_letters(invocation, where, ids, only_counts=only_counts)
    if as_json:
        document = {
            "dry_run": only_counts,
            "complete": not stopped and not unknown,
            "erased": dict(sorted(removed.items())),
            "remains": target.remains(),
            "unknown_tables": list(unknown),
            **(letters.document() if letters else {}),
        }
        echo(json.dumps(document))
    elif removed:
        echo(table(("table", "would be erased" if only_counts else "erased"), sorted(removed.items())))
    _say(target, target.url, removed.total(), letters, only_counts=only_counts)
    if stopped:
        echo("error: incomplete: stopped before the end; start it again", err=True)
        return INCOMPLETE
    if unknown:
        tables = ", ".join(unknown)
        echo(f"error: incomplete: no schema here is of {tables}: name the folder of these events, --schemas", err=True)
        return INCOMPLETE
    return letters.status() if letters else DONE


@dataclass(frozen=True, slots=True)
class _Letters:
    """The dead letters that were ended, and what their topic keeps until when."""

    found: ErasedLetters
    remains: str

    def document(self) -> dict[str, object]:
        """Return what ``--json`` tells of them."""
        return {"dead_letters": self.found.settled.by_reason.total(), "dead_letters_remain": self.remains}

    def status(self) -> int:
        """Return the exit status, and say what was not read."""
        settled = self.found.settled
        return report_unread(settled.topic, unread=settled.unread, incomplete=settled.incomplete)


def _say(target: Erasable, url: str, count: int, letters: _Letters | None, *, only_counts: bool) -> None:
    would = "would be " if only_counts else ""
    echo(f"{url}: {count:,} events {would}erased", err=True)
    if letters is not None:
        settled = letters.found.settled
        echo(f"{settled.topic}: {settled.by_reason.total():,} dead letters {would}ended", err=True)
        echo(f"what {settled.topic} keeps of them: {letters.remains}", err=True)
    if only_counts:
        echo("dry run: nothing was changed; --yes erases them", err=True)
    else:
        echo(f"what is left of them: {target.remains()}", err=True)


def _erase_from(archive: Path, schemas: Catalog, ids: ErasedIds, *, dry_run: bool) -> dict[str, int]:
    """Erase from a file or an export; return the counts by file, or by folder of the export."""
    if archive.is_dir():
        found = erase_from_export(archive, schemas, ids, dry_run=dry_run)
        return {f"{archive / event}": count for event, count in found.items()}
    count = erase_from_file(archive, ids, dry_run=dry_run)
    return {str(archive): count} if count else {}


def _end_letters(invocation: Invocation, topic: str, ids: ErasedIds, *, only_counts: bool) -> _Letters:
    """End the dead letters that hold one of the ids."""
    with ExitStack() as opened:
        reader, writer = open_letters(opened, invocation, topic, writes=not only_counts)
        control = RunControl(clock=invocation.clock or SystemClock())
        found = erase_letters(reader, writer, topic, ids, control=control)
        admin = invocation.open_admin(kafka_settings(invocation))
        opened.callback(admin.close)
        return _Letters(found, found.remains(admin.settings_of(topic)))
