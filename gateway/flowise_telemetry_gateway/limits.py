"""Bounds of all that a client can make a gateway do."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GatewayLimits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayLimits:
    """``body_max_bytes`` bounds a body as it is sent, ``decompressed_max_bytes`` what it unpacks to, ``events_max`` the
    events in it, ``values_max`` the values of a JSON document; a request over one of them is answered 413.
    ``bodies_max_bytes`` bounds all bodies that are in memory at once, ``connections_max`` the connections; over them,
    503. Rates are events a second, and as many as in ``burst_seconds`` at once; over them, 429. ``instances_max``
    installations are watched at once. ``body_seconds`` is how long a body may take to arrive, ``answer_seconds`` how
    long it may take until its events are on disk, or acknowledged.
    """

    body_max_bytes: int = 20_971_520
    decompressed_max_bytes: int = 67_108_864
    events_max: int = 10_000
    values_max: int = 1_000_000
    bodies_max_bytes: int = 134_217_728
    connections_max: int = 1_000
    key_events_per_second: float = 100_000.0
    instance_events_per_second: float = 10_000.0
    burst_seconds: float = 20.0
    instances_max: int = 100_000
    body_seconds: float = 30.0
    answer_seconds: float = 10.0
