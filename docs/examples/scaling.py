"""Partitions, consumers, gateways, brokers and gigabytes for a number of installations: ``python scaling.py --help``.

The costs are measured, on two cores of a shared machine: ``docs/scaling.md`` names where. The rest is assumed.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

DAY_SECONDS = 86_400
GB = 1_000_000_000

# Measured.
RECORD_BYTES = 530
CONSUMER_EVENTS_PER_SECOND = 62_000
GATEWAY_REQUESTS_PER_SECOND = 3_200
SINK_BYTES = {"PostgreSQL": 400, "Delta": 60}
POSTGRESQL_CPU_US = 13.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What is not ours to measure."""

    events_per_day: float = 500.0
    peak: float = 5.0
    """The busiest hour over the mean."""
    events_per_request: float = 1.0
    """Through a gateway; one is the dearest."""
    used: float = 0.5
    """Share of a process or a disk that is planned with."""
    retention_days: int = 7
    copies: int = 3
    broker_disk_bytes: int = 2_000 * GB
    outage_hours: float = 12.0
    """After such an outage of the sink …"""
    caught_up_hours: float = 2.0
    """… all is written within this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What so many installations need."""

    installations: int
    events_per_second: float
    peak_events_per_second: float
    consumers: int
    partitions: int
    gateways: int
    topic_bytes: float
    broker_bytes_per_second: float
    brokers: int
    sink_bytes_a_year: dict[str, float]
    postgresql_cores: float


def size_of(installations: int, assumed: Assumptions) -> Size:
    """Return what so many installations need; two of each process, so that one may fail."""
    mean = installations * assumed.events_per_day / DAY_SECONDS
    peak = mean * assumed.peak
    # What waits after an outage is written while new events go on arriving.
    catching_up = mean * assumed.outage_hours / assumed.caught_up_hours + mean
    carried = CONSUMER_EVENTS_PER_SECOND * assumed.used
    consumers = max(2, math.ceil(max(peak, catching_up) / carried))
    requests = peak / assumed.events_per_request
    topic = mean * DAY_SECONDS * RECORD_BYTES * assumed.retention_days * assumed.copies
    return Size(
        installations=installations,
        events_per_second=mean,
        peak_events_per_second=peak,
        consumers=consumers,
        # Four times the consumers, as partitions cannot be taken away and more of them move keys.
        partitions=4 * consumers,
        gateways=max(2, math.ceil(requests / (GATEWAY_REQUESTS_PER_SECOND * assumed.used))),
        topic_bytes=topic,
        broker_bytes_per_second=peak * RECORD_BYTES * assumed.copies,
        brokers=max(assumed.copies, math.ceil(topic / (assumed.broker_disk_bytes * assumed.used))),
        sink_bytes_a_year={name: mean * DAY_SECONDS * 365 * each for name, each in SINK_BYTES.items()},
        postgresql_cores=peak * POSTGRESQL_CPU_US / 1e6,
    )


def table(sizes: list[Size]) -> str:
    """Return the sizes as a table in Markdown."""
    rows: list[tuple[str, list[str]]] = [
        ("installations", [f"{size.installations:,}" for size in sizes]),
        ("events a second, mean; busiest hour", [_pair(size) for size in sizes]),
        ("consumers", [f"{size.consumers}" for size in sizes]),
        ("partitions", [f"{size.partitions}" for size in sizes]),
        ("gateways, one core each", [f"{size.gateways}" for size in sizes]),
        ("into all brokers, busiest hour", [f"{size.broker_bytes_per_second / 1e6:,.1f} MB/s" for size in sizes]),
        ("topic, all copies", [_gigabytes(size.topic_bytes) for size in sizes]),
        ("brokers", [f"{size.brokers}" for size in sizes]),
        ("a year in PostgreSQL", [_gigabytes(size.sink_bytes_a_year["PostgreSQL"]) for size in sizes]),
        ("a year in Delta", [_gigabytes(size.sink_bytes_a_year["Delta"]) for size in sizes]),
        ("cores of PostgreSQL, busiest hour", [f"{size.postgresql_cores:.2f}" for size in sizes]),
    ]
    (first, heads), *others = rows
    lines = [_line(first, heads), _line("---", ["---"] * len(sizes)), *(_line(name, cells) for name, cells in others)]
    return "\n".join(lines)


def _line(name: str, cells: list[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def _pair(size: Size) -> str:
    return f"{size.events_per_second:,.0f}; {size.peak_events_per_second:,.0f}"


def _gigabytes(size_bytes: float) -> str:
    gigabytes = size_bytes / GB
    return f"{gigabytes:,.0f} GB" if gigabytes < 1_000 else f"{gigabytes / 1_000:,.1f} TB"


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    default = Assumptions()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("installations", type=int, nargs="*", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--events-per-day", type=float, default=default.events_per_day, help="of an installation")
    parser.add_argument("--peak", type=float, default=default.peak, help="the busiest hour over the mean")
    parser.add_argument("--retention-days", type=int, default=default.retention_days, help="of the topic")
    given = parser.parse_args(arguments)
    assumed = Assumptions(events_per_day=given.events_per_day, peak=given.peak, retention_days=given.retention_days)
    print(table([size_of(installations, assumed) for installations in given.installations]))  # noqa: T201


if __name__ == "__main__":
    main()
