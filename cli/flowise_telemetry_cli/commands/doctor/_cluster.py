"""The cluster, from the client's own point of view: what is installed, the way there, topics and rights."""

from __future__ import annotations

from collections.abc import Callable

from flowise_telemetry_cli.commands.doctor._course import Course
from flowise_telemetry_transport import KafkaSettings, RecordReader
from flowise_telemetry_transport.diagnosis.servers import look_at_servers, usable
from flowise_telemetry_transport.diagnosis.topics import Needs, look_at_topics
from flowise_telemetry_transport.installed import look_at_installed

__all__ = ["SECONDS", "look_at_cluster"]

SECONDS = 8.0
"""Bound of each step."""

Open = Callable[..., RecordReader]


def look_at_cluster(course: Course, settings: KafkaSettings, needs: Needs) -> bool:
    """Take the looks; return True if the cluster can be reached and used."""
    course.take("versions", SECONDS, lambda _: look_at_installed(settings.client))
    way = course.take("connection", SECONDS, lambda seconds: look_at_servers(settings, seconds=seconds))
    if not usable(way):
        course.skip("the cluster cannot be used", "topic", "rights")
        return False
    course.take("topic", SECONDS, lambda seconds: look_at_topics(settings, needs, seconds=seconds))
    return True
