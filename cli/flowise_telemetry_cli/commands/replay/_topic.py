"""Opening what a copy writes to: a topic, and what it makes of the times of records."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack

import click

from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_cli.options import CLOSE_SECONDS, require_topic
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_consumer.replay import TopicSink, topic_of
from flowise_telemetry_consumer.sinks.kafka_topic import open_topic_writer
from flowise_telemetry_consumer.sinks.port import Sink
from flowise_telemetry_consumer.sinks.record_times import RecordTimes
from flowise_telemetry_schemas import TelemetryError
from flowise_telemetry_transport import KafkaSettings, RecordReader, parse_bootstrap_servers

__all__ = ["open_topic_reader", "open_topic_sink", "report_times", "target_settings"]


def open_topic_reader(opened: ExitStack, invocation: Invocation, settings: KafkaSettings, topic: str) -> RecordReader:
    """Open a reader of a topic that exists, closed with ``opened``."""
    reader = invocation.open_reader(settings)
    opened.callback(reader.close, timeout_seconds=CLOSE_SECONDS)
    require_topic(reader, topic)
    return reader


def open_topic_sink(opened: ExitStack, invocation: Invocation, settings: KafkaSettings, sink_url: str) -> TopicSink:
    """Open ``kafka://topic``, closed with ``opened``; say what its retention will remove."""
    topic = topic_of(sink_url)
    open_topic_reader(opened, invocation, settings, topic)
    writer = open_topic_writer(settings, open_writer=invocation.open_writer)
    opened.callback(writer.close, timeout_seconds=CLOSE_SECONDS)
    target = TopicSink(writer, topic, invocation.catalog, times=_times_of(invocation, settings, topic))
    if (warning := target.times.warning()) is not None:
        echo(f"{target.url}: {warning}", err=True)
    return target


def _times_of(invocation: Invocation, settings: KafkaSettings, topic: str) -> RecordTimes:
    try:
        admin = invocation.open_admin(settings)
        try:
            return RecordTimes.from_settings(admin.settings_of(topic))
        finally:
            admin.close()
    except (TelemetryError, ValueError):
        return RecordTimes()  # not told to this role, or not at all: the first record that is refused ends the copy


def report_times(target: Sink) -> None:
    """Say on stderr how many records were dated anew, and how many the topic will soon remove."""
    for line in target.times.summary() if isinstance(target, TopicSink) else ():
        echo(f"{target.url}: {line}", err=True)


def target_settings(settings: KafkaSettings | None, servers: str | None) -> KafkaSettings:
    """Return the settings of the target cluster at ``servers``, otherwise those of the source's, where there is one."""
    if servers is not None:
        brokers = parse_bootstrap_servers(servers, source="--sink-bootstrap-servers")
        if settings is None:
            return KafkaSettings(bootstrap_servers=brokers)
        return dataclasses.replace(settings, bootstrap_servers=brokers)
    if settings is None:
        raise click.UsageError("Missing option '--sink-bootstrap-servers' (or '--bootstrap-servers').")
    return settings
