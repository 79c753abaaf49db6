"""The cluster, from the client's own point of view: what is installed, the way there, topics, rights, records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from flowise_telemetry_cli.commands.doctor._course import Course
from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_schemas import TelemetryError
from flowise_telemetry_transport import KafkaSettings
from flowise_telemetry_transport.diagnosis.finding import Finding, failed, ok
from flowise_telemetry_transport.diagnosis.lag import look_at_lag
from flowise_telemetry_transport.diagnosis.login import is_ours_to_judge
from flowise_telemetry_transport.diagnosis.servers import look_at_servers, usable
from flowise_telemetry_transport.diagnosis.topics import Needs, look_at_topics, topic_settings
from flowise_telemetry_transport.installed import look_at_installed

__all__ = ["SECONDS", "look_at_cluster"]

SECONDS = 8.0
"""Bound of each step."""

_CLIENT_SECONDS = 20.0
_CLIENT = "client: connection"
_LEAST_SESSION_SECONDS = 4.0


def look_at_cluster(course: Course, settings: KafkaSettings, needs: Needs, invocation: Invocation) -> None:
    """Take the looks, each as far as those before it permit."""
    found = course.take("versions", SECONDS, lambda _: look_at_installed(settings.client))
    way = course.take("connection", SECONDS, lambda seconds: look_at_servers(settings, seconds=seconds))
    if not usable(way):
        course.skip("the cluster cannot be used", "topic", "topic: right", _CLIENT)
        return
    if not is_ours_to_judge(settings):
        course.skip("this login is left to the client", "topic", "topic: right")
    else:
        found += course.take("topic", SECONDS, lambda seconds: look_at_topics(settings, needs, seconds=seconds))
    states = {each.name: each.state for each in found}
    wrong = [name for name in ("client", "topic", "topic: right") if states.get(name) == "failed"]
    if wrong:
        course.skip(f"{wrong[0]} failed", _CLIENT)
        return
    # As a reader only where the group is one: librdkafka's looks for its coordinator at once, which makes a topic.
    group = needs.group if states.get("group: right") == "ok" else ""
    course.take(_CLIENT, _CLIENT_SECONDS, lambda seconds: _through_client(settings, needs, group, invocation, seconds))


def _through_client(
    settings: KafkaSettings, needs: Needs, group: str, invocation: Invocation, seconds: float
) -> Iterator[Finding]:
    """Open the client with all its settings, and look through it. It joins no group and reads no record."""
    session = max(_LEAST_SESSION_SECONDS, seconds / 3)
    bounded = replace(
        settings,
        connect_timeout_seconds=seconds / 2,
        request_timeout_seconds=session + 1,
        session_timeout_seconds=session,
    )
    try:
        if not group:
            admin = invocation.open_admin(bounded)
            yield ok(_CLIENT, f"{settings.client} connects")
            admin.close()
            return
        reader = invocation.open_reader(bounded, group=group)
        try:
            yield ok(_CLIENT, f"{settings.client} connects")
            known = topic_settings(settings, needs.topic, seconds=seconds / 3)
            retention = None if known is None else int(known.get("retention.ms", "-1"))
            yield from look_at_lag(reader, needs.topic, group, retention)
        finally:
            reader.close(timeout_seconds=1.0)
    except TelemetryError as error:
        yield failed(_CLIENT, error)
