"""Options that several commands share, and the connection that they describe."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_cli.output.logging import LOG_FORMATS, LOG_LEVELS, start_logging
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport import KafkaSettings, RecordReader, UnknownTopicError
from flowise_telemetry_transport.clients import CLIENTS, fastest_client
from flowise_telemetry_transport.errors import missing_topic
from flowise_telemetry_transport.topics import EVENTS_TOPIC

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = [
    "CLOSE_SECONDS",
    "SINK_HELP",
    "connection_options",
    "json_option",
    "kafka_settings",
    "log_format_option",
    "require_topic",
    "schemas_option",
    "topic_option",
    "umask_option",
    "unchecked_schemas_option",
]

DEFAULT_UMASK = "027"

CLOSE_SECONDS = 10.0

SINK_HELP = "Sink to write to; consume --help lists the URLs."

_Command = TypeVar("_Command", bound=Callable[..., Any])


def connection_options(command: _Command) -> _Command:
    """Add ``--bootstrap-servers`` and ``--client``, which ``kafka_settings`` reads.

    Any other setting of the client comes from ``FLOWISE_TELEMETRY_KAFKA_*``.
    """

    def collect(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
        if value:
            ctx.ensure_object(Invocation).connection[str(param.envvar)] = value
        return value

    def note_level(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
        ctx.ensure_object(Invocation).log_level = value
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
        help="Kafka client.  [default: librdkafka, the faster one, where its extra is installed]",
        show_envvar=True,
        expose_value=False,
        callback=collect,
    )
    log_level = click.option(
        "--log-level",
        type=click.Choice(LOG_LEVELS),
        help="Log lines on stderr from this level on; debug shows what the Kafka client says, without secrets."
        "  [default: info for consume, none elsewhere]",
        expose_value=False,
        callback=note_level,
    )
    return servers(client(log_level(command)))


def kafka_settings(invocation: Invocation) -> KafkaSettings:
    """Return the connection that the options and the environment describe. Raises ``ConfigurationError``."""
    if invocation.log_level is not None:
        start_logging("text", invocation.log_level)
    default = {"FLOWISE_TELEMETRY_CLIENT": fastest_client()}
    return KafkaSettings.from_env({**default, **os.environ, **invocation.connection})


def require_topic(reader: RecordReader, topic: str) -> None:
    """Raise ``UnknownTopicError``, with the mend, for a topic that does not exist: a reader would wait forever."""
    try:
        reader.partitions_of(topic)
    except UnknownTopicError as error:
        raise missing_topic(topic) from error


def schemas_option(command: _Command) -> _Command:
    """Add ``--schemas``: events beside the shipped ones, which ``Invocation.catalog`` then has too."""

    def read(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        if value:
            from flowise_telemetry_schemas.own_events import read_own_events

            try:
                ctx.ensure_object(Invocation).own_events = read_own_events(value)
            except ConfigurationError as error:
                raise click.BadParameter(error.message, ctx, param) from error

    option = click.option(
        "--schemas",
        "own_schemas",
        envvar="FLOWISE_TELEMETRY_SCHEMAS",
        metavar="DIR",
        help="Folder with events of your own beside the shipped ones, or entry-point:NAME of an installed package.",
        show_envvar=True,
        expose_value=False,
        is_eager=True,
        callback=read,
    )
    return option(command)


def unchecked_schemas_option(command: _Command) -> _Command:
    """Add ``--schemas`` to a command that looks at schemas which may be refused: it gets the ``folder``."""

    def find(ctx: click.Context, param: click.Parameter, value: str | None) -> Traversable | None:
        if not value:
            return None
        from flowise_telemetry_schemas.own_events import folder_of

        try:
            folder = folder_of(value)
        except ConfigurationError as error:
            raise click.BadParameter(error.message, ctx, param) from error
        if not folder.is_dir():
            raise click.BadParameter(f"{value} is no folder", ctx, param)
        return folder

    option = click.option(
        "--schemas",
        "folder",
        envvar="FLOWISE_TELEMETRY_SCHEMAS",
        metavar="DIR",
        help="Folder with events of your own, or entry-point:NAME of an installed package.",
        show_envvar=True,
        callback=find,
    )
    return option(command)


def umask_option(command: _Command) -> _Command:
    """Add ``--umask``: the bits that the files and folders of this run do not have, whoever makes them."""

    def apply(ctx: click.Context, param: click.Parameter, value: str) -> None:
        if re.fullmatch("0*[0-7]{1,3}", value) is None:
            raise click.BadParameter(f"{value!r} is no octal number of at most 777, such as 027", ctx, param)
        before = os.umask(int(value, 8))
        ctx.call_on_close(lambda: os.umask(before))

    option = click.option(
        "--umask",
        default=DEFAULT_UMASK,
        show_default=True,
        metavar="OCTAL",
        help="Rights that new files and folders do not get; 027: the group may read, others nothing.",
        expose_value=False,
        callback=apply,
    )
    return option(command)


def json_option(text: str) -> Callable[[_Command], _Command]:
    """Return the option ``--json``, given to the command as ``as_json``; ``text`` says what is printed."""
    return click.option("--json", "as_json", is_flag=True, help=text)


log_format_option = click.option(
    "--log-format",
    type=click.Choice(LOG_FORMATS),
    default="text",
    show_default=True,
    help="Format of log lines on stderr; json: one object a line.",
)

topic_option = click.option(
    "--topic",
    envvar="FLOWISE_TELEMETRY_TOPIC",
    default=EVENTS_TOPIC,
    show_default=True,
    show_envvar=True,
    help="Topic of the events.",
)
