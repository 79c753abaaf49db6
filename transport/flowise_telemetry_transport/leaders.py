"""The wait for a new topic's leaders, without which its first records would fail."""

from __future__ import annotations

import time
from collections.abc import Callable

from flowise_telemetry_transport.errors import TransportError
from flowise_telemetry_transport.types import TopicSpec

__all__ = ["wait_for_leaders"]

_POLL_SECONDS = 0.05


def wait_for_leaders(has_leaders: Callable[[TopicSpec], bool], spec: TopicSpec, *, timeout_seconds: float) -> None:
    """Return once every partition of a created topic has a leader. Raises ``TransportError`` on timeout."""
    end = time.monotonic() + timeout_seconds
    while not has_leaders(spec):
        if time.monotonic() > end:
            raise TransportError(
                f"topic {spec.name} was created but has no leaders after {timeout_seconds:g} s", topic=spec.name
            )
        time.sleep(_POLL_SECONDS)
