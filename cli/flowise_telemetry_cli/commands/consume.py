"""``flowise-telemetry consume``: the service that writes the topic to a sink."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click

from flowise_telemetry_cli.errors import DONE, INCOMPLETE, log_error, status_of
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import (
    CLOSE_SECONDS,
    connection_options,
    json_option,
    kafka_settings,
    log_format_option,
    require_topic,
    schemas_option,
    topic_option,
    umask_option,
)
from flowise_telemetry_cli.output.logging import LogFormat, log_now_and_then, start_logging
from flowise_telemetry_cli.output.progress import ProgressDisplay, Status
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_cli.reading_catalog import reading_catalog
from flowise_telemetry_cli.signals import stopped_by_signals
from flowise_telemetry_cli.systemd import Systemd, watched_by
from flowise_telemetry_consumer import (
    BatchLimits,
    Consumer,
    ConsumerCounters,
    ConsumerSettings,
    DeadLetterLimits,
    open_dead_letter_writer,
)
from flowise_telemetry_consumer.clock import SystemClock
from flowise_telemetry_consumer.monitoring.health import why_not_alive, why_not_ready
from flowise_telemetry_consumer.monitoring.http import Door, parse_address, status_server
from flowise_telemetry_consumer.process import separate_stderr, tune_gc
from flowise_telemetry_consumer.service.settings import DEFAULT_GROUP
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_consumer.sinks.refusals import ON_REFUSED, OnRefused
from flowise_telemetry_consumer.sinks.registry import SINK_FORMS
from flowise_telemetry_transport.diagnosis.explain import explained

__all__ = ["consume"]

logger = logging.getLogger("flowise_telemetry.consume")

_STOP_SECONDS = 55.0
"""Time from SIGTERM to the end of the process at the latest; service managers kill it after 60 s or so."""

DEFAULT_SINK = "sqlite:///telemetry.db"


@click.command()
@umask_option
@connection_options
@topic_option
@schemas_option
@click.option(
    "--sink",
    default=DEFAULT_SINK,
    show_default=True,
    metavar="URL",
    help=f"Sink to write to: {', '.join(SINK_FORMS)}.",
)
@click.option(
    "--batch-rows",
    type=click.IntRange(1, 1_000_000),
    default=BatchLimits().rows,
    show_default=True,
    help="Maximum records in a batch; each takes about 1 KB of memory.",
)
@click.option(
    "--batch-seconds",
    type=click.FloatRange(0.01, 3600.0),
    default=BatchLimits().age_seconds,
    show_default=True,
    help="Maximum batch age. A Delta sink writes files per batch; use 60 or more.",
)
@click.option("--group", default=DEFAULT_GROUP, show_default=True, help="Consumer group; one for each sink.")
@click.option(
    "--dead-letter-topic", help="Topic for records that cannot be written.  [default: the topic's name with .dlq]"
)
@click.option(
    "--max-dead-letter-ratio",
    "max_ratio",
    type=click.FloatRange(0.0, 1.0),
    help="Stop where more of the latest 1,000 records are dead letters.  [default: go on]",
)
@click.option(
    "--max-dead-letter-run",
    "max_run_records",
    type=click.IntRange(min=0),
    help="Stop after more consecutive dead letters in one partition.  [default: go on]",
)
@click.option(
    "--on-refused",
    type=click.Choice(ON_REFUSED),
    default="wait",
    show_default=True,
    help="What to do with a row that a rule of the sink refuses: wait until that is mended, or set at most 1,000 an"
    " hour aside as dead letters.",
)
@click.option(
    "--http-address",
    metavar="HOST:PORT",
    help="Serve /metrics (Prometheus), /healthz and /readyz there.  [default: nothing is served]",
)
@click.option(
    "--http-tls",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="PEM file with certificate and key: serve HTTPS there.",
)
@click.option(
    "--http-token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File with a token that clients of /metrics have to send.",
)
@log_format_option
@json_option("Print the final counts as one JSON object.")
@pass_invocation
def consume(
    invocation: Invocation,
    *,
    topic: str,
    sink: str,
    batch_rows: int,
    batch_seconds: float,
    group: str,
    dead_letter_topic: str | None,
    max_ratio: float | None,
    max_run_records: int | None,
    on_refused: OnRefused,
    http_address: str | None,
    http_tls: Path | None,
    http_token_file: Path | None,
    log_format: LogFormat,
    as_json: bool,
) -> int:
    """Consume the topic into a sink until SIGTERM or Ctrl-C; records read by then are written and committed.

    Invalid records go to the dead-letter topic with the reason. While the sink is unavailable the consumer waits.

    \b
    Example:
      flowise-telemetry consume --bootstrap-servers localhost:9092 --sink sqlite:///telemetry.db
    """
    separate_stderr()
    limits = BatchLimits(rows=batch_rows, age_seconds=batch_seconds)
    consumer_settings = ConsumerSettings(
        topic=topic,
        dead_letter_topic=dead_letter_topic or "",
        group=group,
        batch=limits,
        limits=DeadLetterLimits(max_ratio=max_ratio, max_run_records=max_run_records),
        on_refused=on_refused,
    )
    if http_address is not None:
        parse_address(http_address)  # refused before anything is tried
    door = Door(tls=http_tls, token_file=http_token_file)
    start_logging(log_format, invocation.log_level or "info")
    try:
        counters = _run(invocation, sink, consumer_settings, http_address, door, as_text=log_format == "text")
    except Exception as error:
        if log_format == "text":
            raise
        log_error(logger, error, invocation)
        return status_of(error, invocation)
    _report(counters, as_json)
    return INCOMPLETE if counters.left else DONE


def _run(
    invocation: Invocation,
    sink: str,
    settings: ConsumerSettings,
    http_address: str | None,
    door: Door,
    *,
    as_text: bool,
) -> ConsumerCounters:
    with ExitStack() as opened:
        # Before anything that may take its time. All that is opened is closed within the bound.
        stop = opened.enter_context(stopped_by_signals(bound_seconds=_STOP_SECONDS))
        # The sink first, so that an unwritable one does not cost the group a rebalance. It is closed again, because the
        # consumer reopens it on its writing thread.
        target = open_sink(sink)
        target.prepare(list(invocation.catalog))
        target.close()
        kafka = kafka_settings(invocation)
        reader = invocation.open_reader(kafka, group=settings.group)
        opened.callback(reader.close, timeout_seconds=CLOSE_SECONDS)
        for needed in (settings.topic, settings.dead_letter_topic):
            require_topic(reader, needed)
        writer = open_dead_letter_writer(kafka, open_writer=invocation.open_writer)
        opened.callback(writer.close, timeout_seconds=CLOSE_SECONDS)
        show: Callable[[ConsumerCounters], None]
        if as_text:
            show = opened.enter_context(ProgressDisplay[ConsumerCounters](lambda now, _: Status(_summary(now)))).show
        else:
            log = log_now_and_then(logger)
            show = lambda now: log(_summary(now))  # noqa: E731 - the other branch assigns a method
        consumer = Consumer(
            reader,
            target,
            writer,
            reading_catalog(invocation.catalog),
            settings,
            on_change=show,
            open_reader=partial(invocation.open_reader, kafka, group=settings.group),
            explain=partial(explained, settings=kafka),
        )
        if http_address is not None:
            where = opened.enter_context(status_server(http_address, consumer.counters, door=door))
            logger.info("serving %s/metrics, /healthz and /readyz", where)
        systemd = Systemd(
            os.environ,
            why_not_alive=partial(why_not_alive, consumer.counters, SystemClock()),
            why_not_ready=partial(why_not_ready, consumer.counters, SystemClock()),
            stop=stop,
        )
        opened.enter_context(watched_by(systemd))
        tune_gc()
        logger.info("consuming %s into %s as group %s", settings.topic, target.url, settings.group)
        return consumer.run(stop)


def _summary(counters: ConsumerCounters) -> str:
    text = f"consumed {counters.consumed:,}, written {counters.written.total():,}"
    if counters.duplicates.total():
        text += f", already there {counters.duplicates.total():,}"
    if counters.erased.total():
        text += f", left out as erased {counters.erased.total():,}"
    if counters.control.total():
        text += f", control records {counters.control.total():,}"
    if counters.dead.total():
        text += f", dead letters {counters.dead.total():,}"
    return f"{text}; waiting: {counters.outage}" if counters.outage else text


def _report(counters: ConsumerCounters, as_json: bool) -> None:
    if as_json:
        echo(
            json.dumps(
                {
                    "consumed": counters.consumed,
                    "written": dict(+counters.written),
                    "duplicates": dict(+counters.duplicates),
                    "erased": dict(+counters.erased),
                    "control": dict(+counters.control),
                    "dead": dict(+counters.dead),
                    "expired": counters.expired,
                }
            )
        )
        return
    events = sorted({*counters.written, *counters.duplicates})
    echo(
        table(
            ("event", "written", "already there"),
            [(event, counters.written[event], counters.duplicates[event]) for event in events],
        )
    )
    if counters.erased:
        echo()
        echo(table(("left out as erased", "events"), sorted(counters.erased.items())))
    if counters.control:
        echo()
        echo(table(("no events, but counts of the apps", "records"), sorted(counters.control.items())))
    if counters.dead:
        echo()
        echo(table(("dead letters", "count"), sorted(counters.dead.items())))
