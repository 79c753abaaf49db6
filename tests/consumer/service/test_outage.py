"""The outage as the consumer remembers it: why, until when, and with which partitions paused."""

from __future__ import annotations

import logging
from random import Random

import pytest

from flowise_telemetry_consumer import SinkUnavailableError
from flowise_telemetry_consumer.monitoring.counters import ConsumerCounters
from flowise_telemetry_consumer.retry import Backoff
from flowise_telemetry_consumer.service.outage import Outage
from tests.consumer.world import InstantReader, StopWhen, World

AWAY = SinkUnavailableError("gone fishing")


class Waiting:
    """An outage of a reader that has both partitions of a topic."""

    def __init__(self, *, random: Random | None = None) -> None:
        self.world = World()
        self.reader: InstantReader = self.world.reader(group=None)
        self.reader.assign(dict.fromkeys(self.world.partitions, 0))
        self.counters = ConsumerCounters()
        backoff = Backoff(initial_seconds=1.0, max_seconds=30.0, random=random)
        self.outage = Outage(self.reader, self.counters, self.world.clock, backoff)


@pytest.fixture(autouse=True)
def _warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "flowise_telemetry")


def test_a_cause_is_news_once(caplog: pytest.LogCaptureFixture) -> None:
    it = Waiting()
    assert [it.outage.begin(AWAY), it.outage.begin(AWAY), it.outage.begin(SinkUnavailableError("on fire"))] == [
        True,
        False,
        True,
    ]
    assert len(caplog.messages) == 2
    assert (it.counters.outage, it.counters.retries) == ("on fire", 3)


def test_partitions_are_paused_until_its_end() -> None:
    it = Waiting()
    assert not it.outage.is_on
    it.outage.begin(AWAY)
    assert it.outage.is_on
    assert it.reader.paused == it.counters.paused == set(it.world.partitions)
    it.outage.end()
    assert not it.outage.is_on
    assert it.reader.paused == it.counters.paused == set()
    assert it.counters.outage is None


def test_a_pause_without_an_outage_is_none() -> None:
    it = Waiting()
    it.outage.pause()
    assert it.reader.paused == set(it.world.partitions)
    assert not it.outage.is_on
    assert it.outage.seconds_until_retry() == 0


def test_partitions_that_come_in_an_outage_are_paused_and_those_that_go_are_forgotten() -> None:
    it = Waiting()
    first, second = it.world.partitions
    it.outage.assigned([first])
    assert it.reader.paused == set(), "there is no outage"
    it.outage.begin(AWAY)
    it.reader.paused.clear()  # as a rebalance does
    it.outage.assigned([second])
    assert it.reader.paused == it.counters.paused == {second}
    it.outage.revoked([second])
    assert it.counters.paused == set()


def test_what_a_cooperative_rebalance_leaves_with_us_is_resumed() -> None:
    it = Waiting()
    first, second = it.world.partitions
    it.outage.begin(AWAY)
    it.outage.revoked([second])
    it.outage.assigned([second])
    it.outage.revoked([second])
    assert first in it.reader.paused
    it.outage.end()
    assert it.reader.paused == set()


def test_two_consumers_do_not_retry_in_step() -> None:
    waits = []
    for seed in (1, 2):
        it = Waiting(random=Random(seed))
        spans = []
        for _ in range(4):
            it.outage.begin(AWAY)
            spans.append(it.outage.seconds_until_retry())
            it.world.clock.sleep(spans[-1])
            assert it.outage.seconds_until_retry() == 0
        assert [longest / 2 <= span <= longest for span, longest in zip(spans, (1, 2, 4, 8), strict=True)] == [True] * 4
        waits.append(spans)
    assert not set(waits[0]) & set(waits[1])


@pytest.mark.parametrize("revoked", [False, True])
def test_an_outage_that_outlives_the_consumer_or_its_partitions_is_not_said_to_be_over(
    revoked: bool, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    world.send_good(5)
    world.sink.failures = [AWAY] * 100
    consumer = world.consumer()

    def stop() -> bool:
        if consumer.counters.retries < 2:
            return False
        if revoked:
            consumer._on_revoked(world.partitions)
        return True

    consumer.run(StopWhen(stop))
    assert world.sink.failures, "it is still away"
    assert [message for message in caplog.messages if "over" in message] == []
