"""The metrics of consumer and gateway, as their registries hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from docs.site.markdown import code, prose, table

from flowise_telemetry.testing import TelemetryRecorder
from flowise_telemetry_consumer import ConsumerCounters
from flowise_telemetry_consumer.clock import SystemClock
from flowise_telemetry_consumer.monitoring import metrics as of_consumers
from flowise_telemetry_gateway import GatewayCounters
from flowise_telemetry_gateway.serving import metrics as of_gateways

if TYPE_CHECKING:
    from prometheus_client import Metric

__all__ = ["metrics_page"]


def metrics_page() -> str:
    """Return the page."""
    return "\n".join(
        [
            "# Every metric\n",
            "Made from the registries that `/metrics` serves. Which of them to watch, and what to do when one is off:"
            " [operations](../operations.md#alerts). Counters begin at 0 with the process; their series end in"
            " `_total`.\n",
            "## Consumer\n",
            _table(_of_a_consumer()),
            "## Gateway\n",
            _table(_of_a_gateway()),
        ]
    )


def _of_a_consumer() -> Iterator[Metric]:
    # Values that are served once there are some.
    counters = ConsumerCounters(committed_at_ms=0, event_age_seconds=0.0)
    yield from of_consumers.registry_of(counters, SystemClock()).collect()


def _of_a_gateway() -> Iterator[Metric]:
    with TelemetryRecorder() as recorder:
        gateway: Any = SimpleNamespace(counters=GatewayCounters(), telemetry=recorder.telemetry)
        yield from of_gateways.registry_of(gateway).collect()


def _table(metrics: Iterable[Metric]) -> str:
    rows = []
    for metric in metrics:
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        labels = ", ".join(code(label) for label in getattr(metric, "_labelnames", None) or ())
        rows.append((code(name), metric.type, labels, prose(metric.documentation)))
    return table(("metric", "type", "labels", ""), rows)
