"""HTTP in, the producer's path out: for apps that are not written in Python, and installations that reach no Kafka."""

from __future__ import annotations

from flowise_telemetry_gateway.counters import GatewayCounters
from flowise_telemetry_gateway.keys import ProjectKeys
from flowise_telemetry_gateway.limits import GatewayLimits
from flowise_telemetry_gateway.serving.gateway import Gateway
from flowise_telemetry_gateway.serving.server import serve

__all__ = ["Gateway", "GatewayCounters", "GatewayLimits", "ProjectKeys", "serve"]
