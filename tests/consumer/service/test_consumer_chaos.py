"""Whatever goes wrong, in whatever order: nothing is lost, nothing committed too early, no event written twice."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowise_telemetry_consumer import BatchLimits, ConsumerSettings, FencedError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.port import Batch
from flowise_telemetry_transport.errors import DeliveryTimeoutError, UnreadableRecordError
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.world import GROUP, TOPIC, InstantReader, StopWhen, World, source_of
from tests.thoroughness import examples

FAULTS = (
    "none", "outage", "long outage", "rejected commit", "evicted", "fenced", "dead letter fails", "rival", "crash",
    "down",
)  # fmt: skip

faults = st.lists(st.sampled_from(FAULTS), min_size=1, max_size=12)
kinds = st.lists(st.sampled_from(["good", "bad", "unreadable", "gap"]), min_size=1, max_size=60)


class CrashError(BaseException):
    """The process died: no handler of the consumer may catch this."""


class Chaos:
    """A plan of faults: one at every write, and some between turns."""

    def __init__(self, world: World, plan: list[str]) -> None:
        self.world = world
        self.plan = list(plan)
        self.reader: InstantReader | None = None
        self.turns_down = 0
        world.sink.on_write = self.on_write

    def on_write(self, _batch: Batch) -> None:
        if not self.plan:
            return
        world = self.world
        match self.plan.pop():
            case "outage":
                raise SinkUnavailableError("away")
            case "fenced":
                raise FencedError("someone else has it")
            case "long outage":
                world.sink.failures = [SinkUnavailableError("away")] * 9
            case "rejected commit":
                world.broker.reject_next_commits(2)
            case "evicted" if self.reader is not None and not self.reader.polling:
                world.broker.evict(self.reader)
            case "dead letter fails":
                world.broker.fail_next_deliveries(DeliveryTimeoutError("too late"))
            case "crash":
                raise CrashError
            case "down":
                world.broker.down = True
            case _:
                pass

    def between_turns(self) -> bool:
        world = self.world
        if world.broker.down:
            self.turns_down += 1
            if self.turns_down % 20 == 0:
                world.broker.down = False
        elif self.plan and self.plan[-1] == "rival":
            self.plan.pop()
            rival = world.broker.open_reader(group=GROUP)
            rival.subscribe([TOPIC])
            with contextlib.suppress(UnreadableRecordError):
                rival.poll(timeout_seconds=0, max_records=1)
            rival.close()
        return world.all_committed()


def fill(world: World, sequence: list[str]) -> set[tuple[TopicPartition, int]]:
    """Send the named kinds of record; return where dead letters must come from."""
    bad: set[tuple[TopicPartition, int]] = set()
    for index, kind in enumerate(sequence):
        number = index % len(world.partitions)
        partition = world.partitions[number]
        place = len(world.sent.get(partition, []))
        if kind == "good":
            world.send_good(1, partition=number)
            continue
        world.send_bad(partition=number)
        if kind == "gap":
            world.broker.remove_records(partition, [place])
            world.gaps.add((partition, place))
            continue
        bad.add((partition, place))
        if kind == "unreadable":
            world.broker.break_record(partition, place)
    return bad


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("flowise_telemetry")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


@pytest.mark.slow
@settings(max_examples=examples(4), suppress_health_check=[HealthCheck.too_slow])
@given(sequence=kinds, plan=faults, rows=st.sampled_from([1, 3, 10, 1_000]))
def test_chaos(sequence: list[str], plan: list[str], rows: int) -> None:
    survives(sequence, plan, rows, threads=False)


@settings(max_examples=examples(0.6), suppress_health_check=[HealthCheck.too_slow])
@given(sequence=kinds, plan=faults, rows=st.sampled_from([1, 3, 10, 1_000]))
def test_chaos_while_the_next_batch_is_polled(sequence: list[str], plan: list[str], rows: int) -> None:
    survives(sequence, plan, rows, threads=True)


def survives(sequence: list[str], plan: list[str], rows: int, *, threads: bool) -> None:
    world = World(partitions=3)
    bad = fill(world, sequence)
    chaos = Chaos(world, plan)
    crashes = 0
    while True:
        chaos.reader = world.reader()
        consumer = world.consumer(
            chaos.reader,
            ConsumerSettings(topic=TOPIC, group=GROUP, batch=BatchLimits(rows=rows), flush_seconds=0.0),
            sink_thread=ThreadPoolExecutor(1) if threads else None,
        )
        try:
            # Turns take no time, and a thread of its own may need some: a second is many of them.
            consumer.run(StopWhen(chaos.between_turns, turns=1_000_000 if threads else 5_000))
            break
        except CrashError:
            crashes += 1
    assert crashes <= len(plan)
    assert world.sink.event_ids() == world.accepted()
    letters = Counter(map(source_of, world.dead_records()))
    assert set(letters) == bad
    if not {"crash", "evicted", "rejected commit", "rival", "down"} & set(plan):
        assert max(letters.values(), default=1) == 1
