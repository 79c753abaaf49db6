"""From the side of ``consume``: its connection, group and dead letters, and its sink."""

from __future__ import annotations

import os
from collections.abc import Callable

from flowise_telemetry_cli.commands.doctor._cluster import SECONDS, look_at_cluster
from flowise_telemetry_cli.commands.doctor._course import Course
from flowise_telemetry_cli.commands.doctor._settings import PREFIX, look_at_named_registry, look_at_settings
from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_cli.options import kafka_settings
from flowise_telemetry_consumer.sinks.looking import look_at_sink
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport.diagnosis.finding import failed
from flowise_telemetry_transport.diagnosis.topics import Needs

__all__ = ["look_at_service"]

_SHARED = ("BOOTSTRAP_SERVERS", "CLIENT", "TOPIC", "KAFKA_", "SCHEMA_REGISTRY_", "CONSUME_")


def look_at_service(
    course: Course, invocation: Invocation, *, needs: Needs, sink: str, option_of: Callable[[str], str | None]
) -> None:
    """Look as a consumer that is started here, into this sink."""
    environ = {**os.environ, **invocation.connection}
    ours = tuple(PREFIX + name for name in _SHARED)
    settings = {name: text for name, text in environ.items() if name.startswith(ours) and not name.endswith("_SINK")}
    course.add(look_at_settings(settings, lambda name: option_of(name) or "environment"))
    try:
        kafka = kafka_settings(invocation)
    except ConfigurationError as error:
        course.add([failed("settings", error)])
        course.skip("the settings cannot be used", "connection", "topic")
    else:
        look_at_cluster(course, kafka, needs, invocation)
    look_at_named_registry(course, environ, needs.topic, invocation.catalog)
    course.take("sink", SECONDS, lambda _: look_at_sink(sink, list(invocation.catalog)))
