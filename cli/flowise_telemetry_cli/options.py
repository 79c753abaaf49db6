"""The options that every command with a Kafka connection shares."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from flowise_telemetry_transport import KafkaSettings, RecordReader, UnknownTopicError
from flowise_telemetry_transport.clients import CLIENTS, fastest_client
from flowise_telemetry_transport.topics import EVENTS_TOPIC

__all__ = ["CLOSE_SECONDS", "connection_options", "kafka_settings", "require_topic", "topic_option"]

CLOSE_SECONDS = 10.0

_Command = TypeVar("_Command", bound=Callable[..., Any])


def connection_options(command: _Command) -> _Command:
    """Adds ``--bootstrap-servers`` and ``--client``; the command gets them as one ``kafka: KafkaSettings``.

    Whatever else the client can be set to comes from ``FLOWISE_TELEMETRY_KAFKA_*``.
    """

    def collect(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
        environ = ctx.ensure_object(dict)
        if value:
            environ[str(param.envvar)] = value
        return value

    servers = click.option(
        "--bootstrap-servers",
        envvar="FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS",
        metavar="HOST:PORT,…",
        help="Kafka brokers to start from.",
        show_envvar=True,
        expose_value=False,
        callback=collect,
    )
    client = click.option(
        "--client",
        envvar="FLOWISE_TELEMETRY_CLIENT",
        type=click.Choice(sorted(CLIENTS)),
        help="Kafka client.  [default: librdkafka where its extra is installed, as it is faster]",
        show_envvar=True,
        expose_value=False,
        callback=collect,
    )
    return servers(client(command))


def kafka_settings(ctx: click.Context) -> KafkaSettings:
    """The connection that the options and the environment describe. Raises ``ConfigurationError``."""
    default = {"FLOWISE_TELEMETRY_CLIENT": fastest_client()}
    return KafkaSettings.from_env({**default, **os.environ, **ctx.ensure_object(dict)})


def require_topic(reader: RecordReader, topic: str) -> None:
    """Raises ``UnknownTopicError``, with the mend, for a topic that is not there: it would be waited for for ever."""
    try:
        reader.partitions_of(topic)
    except UnknownTopicError as error:
        raise UnknownTopicError(f"{error}: flowise-telemetry topics create makes it", topic=topic) from error


topic_option = click.option(
    "--topic",
    envvar="FLOWISE_TELEMETRY_TOPIC",
    default=EVENTS_TOPIC,
    show_default=True,
    show_envvar=True,
    help="Topic of the events.",
)
