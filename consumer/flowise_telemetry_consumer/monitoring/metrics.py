"""The numbers of one consumer in the text format of Prometheus. docs/operations.md tells what each is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.monitoring.counters import Progress
from flowise_telemetry_consumer.monitoring.health import poll_age_seconds
from flowise_telemetry_schemas import MissingExtraError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

__all__ = ["PREFIX", "exposition", "registry_of"]

PREFIX = "flowise_telemetry_consumer_"


def registry_of(progress: Progress, clock: Clock) -> CollectorRegistry:
    """A registry of this consumer's own: its numbers, and those of the process (CPU, memory, files).

    Raises ``MissingExtraError`` without prometheus-client.
    """
    try:
        from prometheus_client import CollectorRegistry, ProcessCollector
    except ImportError as error:
        raise MissingExtraError("prometheus-client", "consumer") from error
    registry = CollectorRegistry()
    registry.register(_ProgressCollector(progress, clock))
    ProcessCollector(registry=registry)
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    """What Prometheus scrapes."""
    from prometheus_client import generate_latest

    return generate_latest(registry)


class _ProgressCollector:
    """Reads the numbers when they are asked for, so that counting costs the consumer nothing more."""

    def __init__(self, progress: Progress, clock: Clock) -> None:
        self._progress = progress
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """See prometheus-client's ``Collector``."""
        it = self._progress
        it.watched = True
        yield _counter(
            "records_consumed", "Records that are through: written, there already, or dead letters.", it.consumed
        )
        yield _counters("events_written", "Events added to the sink.", "event", it.written)
        yield _counters("events_deduplicated", "Events that the sink had already.", "event", it.duplicates)
        yield _counters("dead_letters", "Records sent to the dead-letter topic.", "reason", it.dead)
        yield _counter("commits", "Commits of offsets.", it.commits)
        yield _counter(
            "commits_rejected", "Commits refused, as the partitions were someone else's by then.", it.rejected_commits
        )
        yield _counter("retries", "Attempts at a batch that an outage of sink or brokers ended.", it.retries)
        yield _counter(
            "records_left", "Records polled and left to the next owner of their partition.", it.dropped_records
        )
        yield _counter("rebalances", "Assignments of partitions to this consumer.", it.rebalances)
        yield self._flush_seconds()
        yield _gauge("partitions_assigned", "Partitions that this consumer reads.", len(it.assigned))
        yield _gauge("partitions_paused", "Partitions that wait for the sink.", len(it.paused))
        yield self._lag()
        yield _gauge("last_poll_age_seconds", "Time since the last poll.", poll_age_seconds(it, self._clock))
        if it.event_age_seconds is not None:
            text = "Age of the newest event of the latest batch when it was through."
            yield _gauge("event_age_seconds", text, it.event_age_seconds)
        if it.missing_events is not None:
            text = "Events missing in the sequences of their streams; only where one consumer reads the whole topic."
            yield _gauge("events_missing", text, it.missing_events)

    def _flush_seconds(self) -> Metric:
        from prometheus_client.core import HistogramMetricFamily

        durations = self._progress.flushes
        buckets = [("+Inf" if bound == float("inf") else str(bound), count) for bound, count in durations.cumulative()]
        text = "Time to decode a batch, write it, and have its dead letters acknowledged."
        return HistogramMetricFamily(f"{PREFIX}flush_seconds", text, buckets=buckets, sum_value=durations.total_seconds)

    def _lag(self) -> Metric:
        from prometheus_client.core import GaugeMetricFamily

        text = "Records of the partition behind which this consumer is, as of the last look (every 15 s)."
        family = GaugeMetricFamily(f"{PREFIX}partition_lag_records", text, labels=["topic", "partition"])
        for (topic, partition), lag in sorted(self._progress.lag.items()):
            family.add_metric([topic, str(partition)], lag)
        return family


def _counter(name: str, text: str, value: int) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    return CounterMetricFamily(PREFIX + name, text, value=value)


def _counters(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(PREFIX + name, text, labels=[label])
    for value, count in sorted(dict(values).items()):
        family.add_metric([value], count)
    return family


def _gauge(name: str, text: str, value: float) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(PREFIX + name, text, value=value)
