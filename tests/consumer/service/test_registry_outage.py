"""A registry that gives no answer is waited for: no dead letter, nothing lost, nothing twice."""

from __future__ import annotations

import logging
from uuid import UUID

import pytest

from flowise_telemetry_consumer import ReplayRequest, list_dead_letters, redrive, replay
from flowise_telemetry_consumer.dead_letters.letter_filter import LetterFilter
from flowise_telemetry_consumer.replay.dry_run import plan_replay
from flowise_telemetry_consumer.replay.filters import RecordFilter
from flowise_telemetry_consumer.replay.to_topic import copy_topic
from flowise_telemetry_consumer.sinks.kafka_topic import TopicSink
from flowise_telemetry_schemas import TelemetryError, catalog
from flowise_telemetry_transport.schema_registry.errors import RegistryDeniedError, RegistryUnavailableError
from flowise_telemetry_transport.types import TopicPartition, TopicSpec
from tests.consumer.registered import MemoryRegistry
from tests.consumer.world import DLQ, GROUP, TOPIC, StopWhen, World

AWAY = RegistryUnavailableError("the schema registry at http://a did not answer within 5 s; is it up?")
DENIED = RegistryDeniedError("the schema registry at http://a refuses the login (401): check SCHEMA_REGISTRY_USER_INFO")
FOR_GOOD = 1_000


class Registered(World):
    """A topic with two events of each framing, and one of no event."""

    def __init__(self, failures: list[TelemetryError]) -> None:
        super().__init__(partitions=1)
        self.registry = MemoryRegistry()
        self.schemas = self.registry.catalog()
        self.prefixed = self.send_framed(self.registry.prefixed, 2)
        self.send_framed(self.registry.by_guid, 2)
        self.send_good(2)
        self.send_bad(b"\x00\x00\x00\x00\x07body")
        self.registry.failures = list(failures)


@pytest.fixture(autouse=True)
def _warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "flowise_telemetry")


@pytest.mark.parametrize("error", [AWAY, DENIED], ids=["away", "denied"])
def test_the_consumer_pauses_and_asks_again(error: TelemetryError, caplog: pytest.LogCaptureFixture) -> None:
    world = Registered([error] * 5)
    reader = world.reader()
    paused = []
    world.registry.on_failure = lambda: paused.append((set(reader.paused), len(world.dead_records())))
    counters = world.consumer(reader).run(StopWhen(world.all_committed))
    assert (counters.written.total(), dict(counters.dead)) == (6, {"unknown_schema": 1})
    assert world.sink.event_ids() == world.accepted()
    assert (counters.retries, counters.outage) == (5, None)
    assert paused == [(set(), 0), *[(set(world.partitions), 0)] * 4]
    assert caplog.messages.count(f"waiting with the partitions paused: {error.message}") == 1
    assert reader.paused == set()


def test_a_consumer_that_is_stopped_meanwhile_loses_nothing() -> None:
    world = Registered([AWAY] * FOR_GOOD)
    counters = world.consumer().run(StopWhen(lambda: len(world.registry.failures) < FOR_GOOD - 3))
    assert (counters.left, counters.written.total(), world.dead_records(), world.committed()) == (7, 0, [], {})
    world.registry.failures = []
    world.consumer().run(StopWhen(world.all_committed))
    assert world.sink.event_ids() == world.accepted()


def test_a_replay_waits_and_resumes() -> None:
    world = Registered([AWAY] * 3)
    assert replay(world.reader(None), world.sink, world.schemas, TOPIC, control=world.control).complete
    assert world.sink.event_ids() == world.accepted()
    other = Registered([AWAY] * FOR_GOOD)
    result = replay(other.reader(None), other.sink, other.schemas, TOPIC, control=other.control)
    assert result.incomplete == f"the schema registry stayed unavailable: {AWAY.message}"
    assert (result.dead.total(), other.sink.event_ids()) == (0, set())
    other.registry.failures = []
    assert replay(other.reader(None), other.sink, other.schemas, TOPIC, control=other.control).complete
    assert other.sink.event_ids() == other.accepted()


def test_a_replay_chooses_events_of_every_framing() -> None:
    world = Registered([AWAY])
    chosen = RecordFilter.of(catalog(), events=["assistant_created", "chatflow_created"])
    request = ReplayRequest(topic=TOPIC, record_filter=chosen)
    plan = plan_replay(world.reader(None), world.sink, world.schemas, request, control=world.control)
    assert dict(plan.events) == {"assistant_created": 1, "chatflow_created": 1}
    result = replay(world.reader(None), world.sink, world.schemas, request, control=world.control)
    assert (result.discrepancies(), result.dead) == ([], {"unknown_schema": 1})
    assert world.sink.event_ids() == set(world.prefixed)


def test_a_dry_run_is_incomplete() -> None:
    world = Registered([AWAY] * FOR_GOOD)
    plan = plan_replay(world.reader(None), world.sink, world.schemas, ReplayRequest(topic=TOPIC), control=world.control)
    assert plan.incomplete == f"the schema registry stayed unavailable: {AWAY.message}"


def test_a_copy_is_byte_for_byte_and_names_events() -> None:
    world = Registered([AWAY])
    world.broker.open_admin().create_topic(TopicSpec("copy", 1))
    target = TopicSink(world.broker.open_writer(), "copy", catalog())
    where = RecordFilter.of(catalog(), where=[("version", "3.0.1")])
    for request, copied in ((ReplayRequest(topic=TOPIC), 7), (ReplayRequest(topic=TOPIC, record_filter=where), 5)):
        result = copy_topic(world.reader(None), target, world.schemas, request, control=world.control)
        assert (result.written.total(), result.written["assistant_created"]) == (copied, 1)
    source = world.broker.log(TopicPartition(TOPIC, 0)).records
    copies = world.broker.log(TopicPartition("copy", 0)).records
    assert [(each.key, each.value, each.headers) for each in list(copies.values())[:7]] == [
        (each.key, each.value, each.headers) for each in source.values()
    ]


def test_letters_are_chosen_by_the_id_that_is_unknown() -> None:
    world = Registered([])
    world.consumer().run(StopWhen(world.all_committed))
    chosen = LetterFilter.of(catalog(), schemas=["7", str(UUID(int=7)), "tool_created.v0"])
    (letter,) = list_dead_letters(world.reader(None), DLQ, control=world.control).by_schema
    assert letter in chosen.schemas


def test_a_redrive_reads_what_a_registry_was_missing_for() -> None:
    world = Registered([])
    framed = world.schemas
    world.schemas = catalog()
    counters = world.consumer().run(StopWhen(world.all_committed))
    assert (counters.written.total(), dict(counters.dead)) == (2, {"unknown_framing": 5})
    world.registry.failures = [AWAY] * 3
    result = redrive(
        world.reader(None),
        world.sink,
        world.broker.open_writer(),
        framed,
        DLQ,
        group=GROUP,
        control=world.control,
    )
    assert (result.incomplete, result.written.total(), dict(result.still_bad)) == (None, 4, {"unknown_schema": 1})
    assert world.sink.event_ids() == world.accepted()
