"""``flowise-telemetry consume``: the service that brings the topic into a sink."""

from __future__ import annotations

import json
import logging
from contextlib import ExitStack

import click

from flowise_telemetry_cli.errors import FAILED, MISUSE
from flowise_telemetry_cli.options import (
    CLOSE_SECONDS,
    connection_options,
    kafka_settings,
    require_topic,
    topic_option,
)
from flowise_telemetry_cli.output.logging import LOG_FORMATS, LogFormat, log_now_and_then, start_logging
from flowise_telemetry_cli.output.progress import ProgressLine
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_cli.signals import stopped_by_signals
from flowise_telemetry_consumer import (
    DEFAULT_GROUP,
    BatchLimits,
    Consumer,
    ConsumerCounters,
    ConsumerSettings,
    open_dead_letter_writer,
)
from flowise_telemetry_consumer.monitoring.http import parse_http_address, status_server
from flowise_telemetry_consumer.process import tune_gc
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_consumer.sinks.registry import SINK_FORMS
from flowise_telemetry_schemas import ConfigurationError, TelemetryError, catalog
from flowise_telemetry_transport import KafkaSettings, open_reader

__all__ = ["consume"]

logger = logging.getLogger("flowise_telemetry.consume")

DEFAULT_SINK = "sqlite:///telemetry.db"


@click.command()
@connection_options
@topic_option
@click.option(
    "--sink",
    default=DEFAULT_SINK,
    show_default=True,
    metavar="URL",
    help=f"Where to: {', '.join(SINK_FORMS)}.",
)
@click.option(
    "--batch-rows",
    type=click.IntRange(1, 1_000_000),
    default=BatchLimits().rows,
    show_default=True,
    help="Records to a batch, about 1 KB of memory each.",
)
@click.option(
    "--batch-seconds",
    type=click.FloatRange(0.01, 3600.0),
    default=BatchLimits().age_seconds,
    show_default=True,
    help="How long a batch may wait to be full. Files of a delta sink are made by batch: give it a minute.",
)
@click.option("--group", default=DEFAULT_GROUP, show_default=True, help="Consumer group; one for each sink.")
@click.option("--dead-letter-topic", help="Where what cannot be written goes.  [default: the topic's name with .dlq]")
@click.option(
    "--http-address",
    metavar="HOST:PORT",
    help="Serves /metrics (Prometheus), /healthz and /readyz there.  [default: nothing is served]",
)
@click.option(
    "--log-format",
    type=click.Choice(LOG_FORMATS),
    default="text",
    show_default=True,
    help="Of what goes to stderr; json: one object a line.",
)
@click.option("--json", "as_json", is_flag=True, help="The final counts as one JSON object.")
@click.pass_context
def consume(
    ctx: click.Context,
    *,
    topic: str,
    sink: str,
    batch_rows: int,
    batch_seconds: float,
    group: str,
    dead_letter_topic: str | None,
    http_address: str | None,
    log_format: LogFormat,
    as_json: bool,
) -> None:
    """Consume the topic into a sink until SIGTERM or Ctrl-C; what was read by then is written and committed.

    What is no valid event goes to the dead-letter topic with the reason. While the sink is away the consumer waits.

    \b
    Example:
      flowise-telemetry consume --bootstrap-servers localhost:9092 --sink sqlite:///telemetry.db
    """
    settings = kafka_settings(ctx)
    limits = BatchLimits(rows=batch_rows, age_seconds=batch_seconds)
    consumer_settings = ConsumerSettings(
        topic=topic, dead_letter_topic=dead_letter_topic or "", group=group, batch=limits
    )
    if http_address is not None:
        parse_http_address(http_address)  # a mistake is told before anything is tried
    start_logging(log_format)
    try:
        counters = _run(settings, sink, consumer_settings, http_address, as_text=log_format == "text")
    except TelemetryError as error:
        if log_format == "text":
            raise
        logger.critical("%s", error)
        ctx.exit(MISUSE if isinstance(error, ConfigurationError) else FAILED)
    _report(counters, as_json)


def _run(
    settings: KafkaSettings, sink: str, consumer_settings: ConsumerSettings, http_address: str | None, *, as_text: bool
) -> ConsumerCounters:
    with ExitStack() as opened:
        # The sink first: an unwritable one should not cost the group a rebalance. Closed again, as it belongs to the
        # thread that the consumer writes on.
        target = open_sink(sink)
        target.prepare(list(catalog()))
        target.close()
        reader = open_reader(settings, group=consumer_settings.group)
        opened.callback(reader.close, timeout_seconds=CLOSE_SECONDS)
        for needed in (consumer_settings.topic, consumer_settings.dead_letter_topic):
            require_topic(reader, needed)
        writer = open_dead_letter_writer(settings)
        opened.callback(writer.close, timeout_seconds=CLOSE_SECONDS)
        show = opened.enter_context(ProgressLine()).show if as_text else log_now_and_then(logger)
        consumer = Consumer(
            reader, target, writer, catalog(), consumer_settings, on_change=lambda now: show(_summary(now))
        )
        if http_address is not None:
            where = opened.enter_context(status_server(http_address, consumer.counters))
            logger.info("serving %s/metrics, /healthz and /readyz", where)
        stop = opened.enter_context(stopped_by_signals())
        tune_gc()
        logger.info("consuming %s into %s as group %s", consumer_settings.topic, target.url, consumer_settings.group)
        return consumer.run(stop)


def _summary(counters: ConsumerCounters) -> str:
    text = f"consumed {counters.consumed:,}, written {counters.written.total():,}"
    if counters.duplicates.total():
        text += f", already there {counters.duplicates.total():,}"
    if counters.dead.total():
        text += f", dead letters {counters.dead.total():,}"
    return f"{text}; waiting: {counters.outage}" if counters.outage else text


def _report(counters: ConsumerCounters, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps(
                {
                    "consumed": counters.consumed,
                    "written": dict(+counters.written),
                    "duplicates": dict(+counters.duplicates),
                    "dead": dict(+counters.dead),
                }
            )
        )
        return
    events = sorted({*counters.written, *counters.duplicates})
    click.echo(
        table(
            ("event", "written", "already there"),
            [(event, counters.written[event], counters.duplicates[event]) for event in events],
        )
    )
    if counters.dead:
        click.echo()
        click.echo(table(("dead letters", "count"), sorted(counters.dead.items())))
