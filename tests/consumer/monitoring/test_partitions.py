"""What an operator is told of the partitions: lag, open transactions, and what retention removed."""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import cast

import pytest

from flowise_telemetry_consumer import ConsumerCounters
from flowise_telemetry_consumer.monitoring.ends import EndsQuestion, EndsThread, PartitionEnds
from flowise_telemetry_consumer.monitoring.health import why_not_alive, why_not_ready
from flowise_telemetry_consumer.monitoring.partitions import LAG_SECONDS, PartitionMonitor
from flowise_telemetry_transport.errors import AuthenticationError, BrokerUnavailableError
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.service.running import wait_until
from tests.consumer.world import TOPIC, InstantReader, StopWhen, World

ZERO = TopicPartition(TOPIC, 0)


def run_watched(world: World, *, turns: int = 100) -> ConsumerCounters:
    """Run a consumer that is scraped all the time."""
    consumer = world.consumer()
    left = iter(range(turns))

    def enough() -> bool:
        consumer.counters.watched = True
        return next(left, None) is None

    return consumer.run(StopWhen(enough))


def test_what_retention_removed_while_it_was_down_is_told(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.send_good(40, partition=0)
    world.consumer().run(StopWhen(world.all_committed))
    world.send_good(60, partition=0)
    world.send_good(10, partition=1)
    world.broker.truncate(ZERO, 90)
    world.gaps |= {(ZERO, offset) for offset in range(40, 90)}
    counters = world.consumer().run(StopWhen(world.all_committed))
    assert (counters.expired, counters.consumed) == (50, 20)
    (told,) = (record.message for record in caplog.records if "retention" in record.message)
    assert told.startswith("50 offsets were removed by retention before they were read: events[0] 40 to 89; raise")


def test_a_new_group_has_missed_nothing(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.send_good(40, partition=0)
    world.broker.truncate(ZERO, 30)
    world.gaps |= {(ZERO, offset) for offset in range(30)}
    counters = world.consumer().run(StopWhen(world.all_committed))
    assert (counters.expired, "retention" in caplog.text) == (0, False)


def test_an_open_transaction_is_no_lag_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.send_good(50, partition=0)
    world.broker.hold(ZERO, 10)
    counters = run_watched(world, turns=400)
    assert world.clock.now > 1_000 + 60 + 2 * LAG_SECONDS
    assert (counters.lag[ZERO], counters.held_back[ZERO]) == (0, 40)
    told = [record.message for record in caplog.records if "transaction" in record.message]
    assert len(told) == 1
    assert told[0].startswith("a transaction that began at offset 10 of events[0] has been open for")
    world.broker.release(ZERO)
    counters = run_watched(world, turns=400)
    assert (counters.lag[ZERO], counters.held_back[ZERO]) == (0, 0)


def test_brokers_that_are_away_are_told_once_and_are_no_readiness(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", "flowise_telemetry")
    world = World()
    world.send_good(5)
    consumer = world.consumer()
    unready: list[str] = []

    def between_turns() -> bool:
        if world.broker.down:
            why = why_not_ready(consumer.counters, world.clock)
            assert why_not_alive(consumer.counters, world.clock) is None
            unready.extend([] if why is None else [why])
            world.broker.down = len(unready) < 40
        elif world.all_committed() and not unready:
            world.broker.down = True
        return len(unready) >= 40 and why_not_ready(consumer.counters, world.clock) is None

    counters = consumer.run(StopWhen(between_turns))
    assert set(unready) == {"waiting for the brokers: the in-memory broker is down"}
    assert counters.brokers_away is None
    told = [record.message for record in caplog.records if "brokers" in record.message]
    assert told == ["waiting for the brokers: the in-memory broker is down", "the brokers answer again"]


class SlowReader(InstantReader):
    """A reader whose broker answers look-ups only when told, and notes who asked."""

    def __init__(self, world: World) -> None:
        super().__init__(world.broker, "service", world.clock)
        self.answers = threading.Event()
        self.asked_by: set[str] = set()

    def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        self.asked_by.add(threading.current_thread().name)
        assert self.answers.wait(60)
        return super().end_offsets(partitions)


def test_a_slow_look_up_keeps_nobody_from_polling() -> None:
    world = World()
    world.send_good(50, partition=0)
    slow = SlowReader(world)
    consumer = world.consumer(open_reader=lambda: slow)
    left = iter(range(2_000))

    def enough() -> bool:
        consumer.counters.watched = True
        if next(left, None) is None:
            slow.answers.set()
        return bool(consumer.counters.lag)

    consumer.run(StopWhen(enough, turns=1_000_000))
    assert consumer.counters.consumed == 50
    assert slow.asked_by == {"flowise-telemetry-ends"}
    assert consumer.counters.lag == dict.fromkeys(world.partitions, 0)


def test_partitions_that_were_not_read_from_begin_where_the_group_is() -> None:
    world = World()
    world.send_good(30, partition=0)
    world.send_good(5, partition=1)
    world.broker.group("service").committed[ZERO] = 12
    found = PartitionEnds.of(world.reader(), EndsQuestion(world.partitions, world.partitions))
    assert list(found.starts.values()) == [12, 0]
    assert list(found.ends.values()) == [30, 5]


def test_a_broker_that_is_away_has_no_answer_and_is_asked_again() -> None:
    world = World()
    world.broker.down = True
    lookup = EndsThread(world.reader)
    question = EndsQuestion(world.partitions, [])
    lookup.ask(question)
    lookup.ask(question)
    assert lookup.answer() is None
    world.broker.down = False

    def answered() -> bool:
        lookup.ask(question)
        return lookup.answer() is not None

    wait_until(answered, "an answer")
    lookup.close()
    lookup.ask(question)
    assert lookup.answer() is None


class _Deaf:
    """A look-up's reader of brokers that are away: it hangs until it is let go, or raises what the client says."""

    def __init__(self, *, hangs: bool) -> None:
        self.hangs = hangs
        self.let_go = threading.Event()

    def partitions_of(self, topic: str) -> tuple[TopicPartition, ...]:
        if self.hangs:
            self.let_go.wait(60)
        raise BrokerUnavailableError("Local: Broker transport failure")

    def close(self, *, timeout_seconds: float) -> None:
        self.let_go.set()


@pytest.mark.parametrize("hangs", [False, True])
def test_brokers_that_are_away_are_told_in_our_words(hangs: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", "flowise_telemetry")
    world, reader = World(), _Deaf(hangs=hangs)
    rejected = AuthenticationError("kafka:9092 rejected the login of user 'consumer'")
    counters = ConsumerCounters()
    monitor = PartitionMonitor(
        world.reader(),
        counters,
        world.clock,
        TOPIC,
        open_reader=lambda: cast("RecordReader", reader),
        explain=lambda _: rejected,
    )

    def is_told() -> bool:
        monitor.look()
        return counters.brokers_away is not None

    for seconds in (16.0, 17.0):  # the question is due; the reason of its silence is
        world.clock.now += seconds
        monitor.look()
    wait_until(is_told, "the reason")
    world.clock.now += 10.0
    monitor.look()
    assert counters.brokers_away == rejected.message, "it stays what was found out"
    assert caplog.messages == [f"waiting for the brokers: {rejected.message}"]
    reader.let_go.set()
    monitor.close()


class _Idle:
    """A look-up's reader whose connection the broker closes after the first answer."""

    def __init__(self) -> None:
        self.asked = 0

    def partitions_of(self, topic: str) -> tuple[TopicPartition, ...]:
        self.asked += 1
        if self.asked > 1:
            raise BrokerUnavailableError("socket disconnected")
        return (ZERO,)

    def topic_id(self, topic: str) -> str | None:
        return "an id"

    def close(self, *, timeout_seconds: float) -> None:
        pass


def test_a_connection_that_was_idle_says_nothing_of_the_brokers() -> None:
    made: list[_Idle] = []

    def open_reader() -> RecordReader:
        made.append(_Idle())
        return cast("RecordReader", made[-1])

    lookup = EndsThread(open_reader)
    for _ in range(3):
        answers: list[PartitionEnds] = []
        lookup.ask(EndsQuestion((), (), TOPIC))

        def is_answered(answers: list[PartitionEnds] = answers) -> bool:
            answers += [answer for answer in [lookup.answer()] if answer is not None]
            assert lookup.failure() is None
            return bool(answers)

        wait_until(is_answered, "an answer")
    assert len(made) == 3
    lookup.close()
