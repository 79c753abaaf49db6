"""Metrics of one consumer for Prometheus. docs/operations.md describes each."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.dead_letter import REASONS
from flowise_telemetry_consumer.monitoring.counters import ConsumerCounters
from flowise_telemetry_consumer.monitoring.health import poll_age_seconds
from flowise_telemetry_schemas import MissingExtraError
from flowise_telemetry_transport.types import TopicPartition

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Histogram, Metric

__all__ = ["PREFIX", "registry_of"]

PREFIX = "flowise_telemetry_consumer_"
_FLUSH_BOUNDS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


def registry_of(counters: ConsumerCounters, clock: Clock) -> CollectorRegistry:
    """Return a new registry of this consumer's metrics and those of the process (CPU, memory, files).

    Durations of batches are collected from here on. Raises ``MissingExtraError`` without prometheus-client.
    """
    try:
        from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
    except ImportError as error:
        raise MissingExtraError("prometheus-client", "consumer") from error
    flush_seconds = Histogram(
        f"{PREFIX}flush_seconds",
        "Time to decode a batch, write it, and have its dead letters acknowledged.",
        buckets=_FLUSH_BOUNDS_SECONDS,
        registry=None,
    )
    counters.flush_seconds = flush_seconds
    registry = CollectorRegistry()
    registry.register(_ConsumerCollector(counters, flush_seconds, clock))
    ProcessCollector(registry=registry)
    return registry


class _ConsumerCollector:
    """Collects the counters at each scrape, so that counting costs the consumer nothing more."""

    def __init__(self, counters: ConsumerCounters, flush_seconds: Histogram, clock: Clock) -> None:
        self._counters = counters
        self._flush_seconds = flush_seconds
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; see prometheus-client's ``Collector``."""
        counters = self._counters
        counters.watched = True
        yield _build_info()
        yield _counter(
            "records_consumed",
            "Records processed: written, deduplicated, left out as erased, control records, or sent to the dead-letter"
            " topic.",
            counters.consumed,
        )
        yield _counters("events_written", "Events added to the sink.", "event", counters.written)
        yield _counters("events_deduplicated", "Events that the sink already had.", "event", counters.duplicates)
        yield _counters(
            "events_erased", "Events left out because they were erased from the sink.", "event", counters.erased
        )
        yield _counters(
            "control_records", "Records that producers make of themselves, written.", "record", counters.control
        )
        # All reasons from the start: Prometheus sees no increase in a series that begins above 0.
        dead: dict[str, int] = dict.fromkeys(REASONS, 0)
        dead |= dict(counters.dead)
        yield _counters("dead_letters", "Records sent to the dead-letter topic.", "reason", dead)
        yield _counter("commits", "Offset commits.", counters.commits)
        yield _counter(
            "commits_rejected",
            "Offset commits rejected after the partitions were reassigned.",
            counters.rejected_commits,
        )
        yield _counter(
            "retries", "Write attempts that failed because the sink or the brokers were away.", counters.retries
        )
        yield _counter(
            "records_left", "Records polled and left to the next owner of their partition.", counters.dropped_records
        )
        yield _counter(
            "records_reread",
            "Records read again because the sink had lost what the group had committed.",
            counters.reread,
        )
        yield _counter("records_expired", "Offsets that retention removed before they were read.", counters.expired)
        yield _counter(
            "topics_recreated",
            "Times that the topic was found deleted and created again since it was written to the sink.",
            counters.recreated,
        )
        yield _counter("rebalances", "Assignments of partitions to this consumer.", counters.rebalances)
        yield self._flushes()
        yield _gauge("partitions_assigned", "Partitions assigned to this consumer.", len(counters.assigned))
        yield _gauge("partitions_paused", "Partitions paused until the sink accepts writes.", len(counters.paused))
        text = "Records between the committed offset and the end of the partition, refreshed every 15 s."
        yield _by_partition("partition_lag_records", text, self._counters.lag)
        text = "Records behind the end of the partition that wait for a transaction to end, refreshed every 15 s."
        yield _by_partition("partition_held_back_records", text, self._counters.held_back)
        since = counters.lag_since
        age = 0.0 if since is None else max(0.0, self._clock.monotonic() - since)
        yield _gauge("lag_age_seconds", "Time that the oldest uncommitted record has been in the topic, at least.", age)
        if counters.committed_at_ms is not None:
            text = "Time of the latest commit, in seconds since 1970."
            yield _gauge("last_commit_timestamp_seconds", text, counters.committed_at_ms / 1000)
        yield _gauge("last_poll_age_seconds", "Time since the last poll.", poll_age_seconds(counters, self._clock))
        reachable = counters.brokers_away is None
        yield _gauge("brokers_reachable", "1 if the brokers answered when they were last asked.", reachable)
        since = counters.in_hand_since
        age = 0.0 if since is None else max(0.0, self._clock.monotonic() - since)
        yield _gauge("oldest_record_age_seconds", "Time since the oldest record in hand was polled.", age)
        if counters.event_age_seconds is not None:
            text = "Age of the latest batch's newest event when the batch was completed."
            yield _gauge("event_age_seconds", text, counters.event_age_seconds)

    def _flushes(self) -> Metric:
        (family,) = self._flush_seconds.collect()
        # Drop the gauge of when the histogram was created; prometheus_client can only switch it off for the whole
        # process.
        family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
        return family


def _build_info() -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(f"{PREFIX}build_info", "1, with the versions.", labels=["version", "python"])
    family.add_metric([_version(), platform.python_version()], 1)
    return family


@cache
def _version() -> str:
    try:
        return version("flowise-telemetry")
    except PackageNotFoundError:  # the source without an installation
        return "unknown"


def _by_partition(name: str, text: str, values: Mapping[TopicPartition, int]) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(PREFIX + name, text, labels=["topic", "partition"])
    for (topic, partition), value in sorted(dict(values).items()):
        family.add_metric([topic, str(partition)], value)
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
