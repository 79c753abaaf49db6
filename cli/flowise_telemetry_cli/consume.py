"""``flowise-telemetry consume``: the service that brings the topic into a sink."""

from __future__ import annotations

import json
import logging
from contextlib import ExitStack
from pathlib import Path

import click

from flowise_telemetry_cli.connection import (
    CLOSE_SECONDS,
    connection_options,
    kafka_settings,
    require_topic,
    topic_option,
)
from flowise_telemetry_cli.progress_line import ProgressLine
from flowise_telemetry_cli.signals import stopped_by_signals
from flowise_telemetry_cli.table import table
from flowise_telemetry_consumer import (
    DEFAULT_GROUP,
    Consumer,
    ConsumerSettings,
    Progress,
    open_dead_letter_writer,
)
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import open_reader

__all__ = ["consume"]

DEFAULT_SINK = "sqlite:///telemetry.db"


@click.command()
@connection_options
@topic_option
@click.option(
    "--sink",
    default=DEFAULT_SINK,
    show_default=True,
    metavar="URL",
    help="Where to: sqlite:///file, postgresql://user:password@host/database, jsonl:- or jsonl:///file.",
)
@click.option("--group", default=DEFAULT_GROUP, show_default=True, help="Consumer group; one for each sink.")
@click.option("--dead-letter-topic", help="Where what cannot be written goes.  [default: the topic's name with .dlq]")
@click.option(
    "--heartbeat-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Touched after every poll; its age is the health of the service.",
)
@click.option("--json", "as_json", is_flag=True, help="The final counts as one JSON object.")
@click.pass_context
def consume(
    ctx: click.Context,
    *,
    topic: str,
    sink: str,
    group: str,
    dead_letter_topic: str | None,
    heartbeat_file: Path | None,
    as_json: bool,
) -> None:
    """Consume the topic into a sink until SIGTERM or Ctrl-C; what was read by then is written and committed.

    What is no valid event goes to the dead-letter topic with the reason. While the sink is away the consumer waits.

    \b
    Example:
      flowise-telemetry consume --bootstrap-servers localhost:9092 --sink sqlite:///telemetry.db
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = kafka_settings(ctx)
    consumer_settings = ConsumerSettings(
        topic=topic, dead_letter_topic=dead_letter_topic or "", group=group, heartbeat_file=heartbeat_file
    )
    with ExitStack() as opened:
        # The sink first: an unwritable one should not cost the group a rebalance.
        target = open_sink(sink)
        opened.callback(target.close)
        target.prepare(list(catalog()))
        reader = open_reader(settings, group=group)
        opened.callback(reader.close, timeout_seconds=CLOSE_SECONDS)
        for needed in (topic, consumer_settings.dead_letter_topic):
            require_topic(reader, needed)
        writer = open_dead_letter_writer(settings)
        opened.callback(writer.close, timeout_seconds=CLOSE_SECONDS)
        line = opened.enter_context(ProgressLine())
        consumer = Consumer(
            reader, target, writer, catalog(), consumer_settings, on_progress=lambda now: line.show(_summary(now))
        )
        stop = opened.enter_context(stopped_by_signals())
        click.echo(f"consuming {topic} into {target.url} as group {group}", err=True)
        progress = consumer.run(stop)
    _report(progress, as_json)


def _summary(progress: Progress) -> str:
    text = f"consumed {progress.consumed:,}, written {progress.written.total():,}"
    if progress.duplicates.total():
        text += f", already there {progress.duplicates.total():,}"
    if progress.dead.total():
        text += f", dead letters {progress.dead.total():,}"
    return f"{text}; waiting: {progress.outage}" if progress.outage else text


def _report(progress: Progress, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps(
                {
                    "consumed": progress.consumed,
                    "written": dict(+progress.written),
                    "duplicates": dict(+progress.duplicates),
                    "dead": dict(+progress.dead),
                }
            )
        )
        return
    events = sorted({*progress.written, *progress.duplicates})
    click.echo(
        table(
            ("event", "written", "already there"),
            [(event, progress.written[event], progress.duplicates[event]) for event in events],
        )
    )
    if progress.dead:
        click.echo()
        click.echo(table(("dead letters", "count"), sorted(progress.dead.items())))
