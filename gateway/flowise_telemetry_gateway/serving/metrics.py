"""Metrics of one gateway for Prometheus. docs/gateway.md describes each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from flowise_telemetry_schemas import MissingExtraError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

    from flowise_telemetry_gateway.serving.gateway import Gateway

__all__ = ["PREFIX", "metrics_text", "registry_of"]

PREFIX = "flowise_telemetry_gateway_"


def metrics_text(gateway: Gateway) -> tuple[bytes, str]:
    """Return the metrics and their media type. Raises ``MissingExtraError`` without prometheus-client."""
    registry = registry_of(gateway)
    from prometheus_client import generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_LATEST

    return generate_latest(registry), CONTENT_TYPE_LATEST


def registry_of(gateway: Gateway) -> CollectorRegistry:
    """Return a new registry of its metrics and those of the process. Raises ``MissingExtraError``."""
    try:
        from prometheus_client import CollectorRegistry, ProcessCollector
    except ImportError as error:
        raise MissingExtraError("prometheus-client", "gateway") from error
    registry = CollectorRegistry()
    registry.register(_GatewayCollector(gateway))
    ProcessCollector(registry=registry)
    return registry


class _GatewayCollector:
    """Collects the counters at each scrape, so that counting costs a request nothing more."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; see prometheus-client's ``Collector``."""
        counters, stats = self._gateway.counters, self._gateway.telemetry.stats()
        from prometheus_client.core import CounterMetricFamily

        requests = CounterMetricFamily(
            f"{PREFIX}requests", "Requests answered, by what was sent and status.", labels=["route", "status"]
        )
        for (route, status), count in sorted(counters.requests.items()):
            requests.add_metric([route, str(status)], count)
        yield requests
        yield _counters("events", "Events of PostHog's clients that were accepted.", "event", counters.accepted)
        yield _counter("unknown_events", "Events dropped because no schema has their name.", counters.unknown_events)
        yield _counter(
            "unknown_properties", "Properties dropped because no schema has their name.", counters.unknown_properties
        )
        yield _counter("refused_events", "Events dropped because they are about a person.", counters.refused_events)
        yield _counter("invalid_events", "Events dropped because they break their schema.", counters.invalid_events)
        yield _counter("records", "Records of producers that were accepted.", counters.records)
        yield _counters("refused_records", "Records of producers refused.", "reason", counters.refused_records)
        yield _gauge("bodies_bytes", "Bytes of the bodies that are in memory.", counters.bodies_bytes)
        yield _counter("sent_events", "Events of PostHog's clients that the cluster acknowledged.", stats.sent)
        yield _counters("dropped_events", "Accepted events that were dropped.", "reason", stats.dropped)
        yield _gauge("buffered_events", "Events that wait, in memory or on disk.", stats.buffered)
        yield _gauge("spooled_events", "Events that wait on disk.", stats.spooled)
        yield _gauge("delivery_failing", "1 while deliveries to the cluster fail.", stats.last_error is not None)


def _counter(name: str, text: str, value: int) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    return CounterMetricFamily(PREFIX + name, text, value=value)


def _counters(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(PREFIX + name, text, labels=[label])
    for value, count in sorted(values.items()):
        family.add_metric([value], count)
    return family


def _gauge(name: str, text: str, value: float) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(PREFIX + name, text, value=value)
