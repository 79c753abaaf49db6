"""Since when the oldest unread record has been there."""

from __future__ import annotations

from flowise_telemetry_consumer import SinkUnavailableError
from flowise_telemetry_consumer.monitoring.lag_ages import LagAges
from flowise_telemetry_consumer.monitoring.metrics import registry_of
from flowise_telemetry_consumer.monitoring.partitions import LAG_SECONDS
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.world import StopWhen, World

A, B = TopicPartition("events", 0), TopicPartition("events", 1)


def test_what_is_unread_grows_old_until_it_is_passed() -> None:
    ages = LagAges()
    assert ages.look({A: (10, 10)}, 100.0) is None
    assert ages.look({A: (10, 20)}, 115.0) == 115.0
    assert ages.look({A: (19, 90)}, 130.0) == 115.0, "record 19 was there"
    assert ages.look({A: (20, 90)}, 145.0) == 145.0, "nothing is known of record 20 but that it is there"
    assert ages.look({A: (90, 90)}, 160.0) is None


def test_the_oldest_of_all_partitions_counts() -> None:
    ages = LagAges()
    ages.look({A: (0, 5)}, 100.0)
    assert ages.look({A: (0, 5), B: (0, 5)}, 115.0) == 100.0
    assert ages.keep({B}) == 115.0
    assert ages.keep(set()) is None


def test_lag_grows_old_while_the_sink_is_away() -> None:
    world = World()
    world.send_good(20)
    world.sink.failures = [SinkUnavailableError("away")] * 20
    consumer = world.consumer()
    registry = registry_of(consumer.counters, world.clock)
    ages: list[float] = []

    def scraped() -> bool:
        ages.append(registry.get_sample_value("flowise_telemetry_consumer_lag_age_seconds") or 0.0)
        return world.all_committed() and ages[-1] == 0.0

    consumer.run(StopWhen(scraped))
    assert max(ages) > 2 * LAG_SECONDS
