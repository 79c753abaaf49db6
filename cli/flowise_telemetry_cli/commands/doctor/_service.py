"""From the side of those who read: their connection, group and dead letters, and their sink."""

from __future__ import annotations

import os
from collections.abc import Callable

from flowise_telemetry_cli.commands.doctor._cluster import SECONDS, look_at_cluster
from flowise_telemetry_cli.commands.doctor._course import Course
from flowise_telemetry_cli.commands.doctor._settings import PREFIX, look_at_named_registry, look_at_settings
from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_cli.options import kafka_settings
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_consumer.sinks.looking import look_at_sink
from flowise_telemetry_schemas import TelemetryError
from flowise_telemetry_transport.diagnosis.finding import failed
from flowise_telemetry_transport.diagnosis.topics import Needs
from flowise_telemetry_transport.masking import MASK

__all__ = ["look_at_service"]

_SINK = PREFIX + "CONSUME_SINK"


def look_at_service(
    course: Course,
    invocation: Invocation,
    *,
    needs: Needs,
    topic: str,
    sink: str,
    option_of: Callable[[str], str | None],
) -> None:
    """Look as a command with these needs that is started here, into this sink."""
    environ = {**os.environ, **invocation.connection}
    places = {"TOPIC": needs.topic, "CONSUME_GROUP": needs.group, "CONSUME_DEAD_LETTER_TOPIC": needs.dead_letter_topic}
    settings = {name: text for name, text in environ.items() if name.startswith(PREFIX)}
    settings |= {PREFIX + name: text for name, text in places.items()}

    def origin_of(name: str) -> str:
        return option_of(name) or ("environment" if name in environ else "default")

    settings[_SINK] = _shown(sink)
    course.add(look_at_settings(settings, origin_of, groups=("CONSUME_",)))
    try:
        kafka = kafka_settings(invocation)
    except TelemetryError as error:
        course.add([failed("settings", error)])
        course.skip("the settings cannot be used", "connection", "topic")
    else:
        look_at_cluster(course, kafka, needs, invocation)
    look_at_named_registry(course, environ, topic, invocation.catalog)
    course.take("sink", SECONDS, lambda _: look_at_sink(sink, list(invocation.catalog)))


def _shown(sink: str) -> str:
    """Return a sink's URL without its password."""
    try:
        return open_sink(sink).url
    except TelemetryError:
        return MASK
