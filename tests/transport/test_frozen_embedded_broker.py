"""What a member of a group does while the only broker stands still: its connections stay, and nothing is answered."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping

import pytest

from flowise_telemetry_transport import BrokerUnavailableError, KafkaSettings, TopicPartition, open_reader
from flowise_telemetry_transport.settings import ClientName
from tests.services.standstill import Standstill
from tests.transport.backends import settle

pytestmark = pytest.mark.services

# Below the request timeout (40 s), which bounds what is not bounded by anything else.
_ALL_SECONDS = 30.0
_BROKER = """
import sys
from flowise_telemetry_transport import EmbeddedBroker
with EmbeddedBroker() as broker:
    broker.ensure_topic("events")
    print(*broker.bootstrap_servers, flush=True)
    sys.stdin.read()
"""


class BrokerProcess(Standstill):
    """The embedded broker in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BROKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.servers = tuple(self._process.stdout.readline().split())


@pytest.fixture
def broker() -> Iterator[BrokerProcess]:
    process = BrokerProcess()
    yield process
    process.kill()
    assert process._process is not None
    process._process.__exit__(None, None, None)


@pytest.fixture(params=["kafka-python", "librdkafka"])
def client(request: pytest.FixtureRequest) -> ClientName:
    name: ClientName = request.param
    return name


@contextlib.contextmanager
def _in_time() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < _ALL_SECONDS


def _answered(
    look: Callable[[Collection[TopicPartition]], Mapping[TopicPartition, int]], partitions: Collection[TopicPartition]
) -> Mapping[TopicPartition, int]:
    """What a broker that is there answers: on a busy machine it may take more than the two seconds of one request."""
    end = time.monotonic() + _ALL_SECONDS
    while True:
        try:
            return look(partitions)
        except BrokerUnavailableError:
            if time.monotonic() > end:
                raise


def test_a_look_up_ends_within_the_time_that_it_is_given(client: ClientName, broker: BrokerProcess) -> None:
    """A service polls nothing meanwhile."""
    reader = open_reader(KafkaSettings(bootstrap_servers=broker.servers, client=client), group="frozen")
    partitions = reader.partitions_of("events")
    broker.freeze()
    with _in_time():
        with pytest.raises(BrokerUnavailableError):
            reader.commits(partitions, timeout_seconds=1)
        with pytest.raises(BrokerUnavailableError):
            reader.beginning_offsets(partitions, timeout_seconds=1)
        with contextlib.suppress(BrokerUnavailableError):
            assert reader.topic_id("events", timeout_seconds=1) is None
        reader.close(timeout_seconds=1)


def test_a_leader_that_does_not_answer_has_no_empty_partition(client: ClientName, broker: BrokerProcess) -> None:
    """A replay would take a topic without an end for one that is empty, and end as if it were done."""
    settings = KafkaSettings(
        bootstrap_servers=broker.servers, client=client, request_timeout_seconds=2.0, session_timeout_seconds=1.5
    )
    reader = open_reader(settings)
    partitions = reader.partitions_of("events")
    look_ups = (reader.end_offsets, reader.high_watermarks, reader.beginning_offsets)
    assert [sum(_answered(look, partitions).values()) for look in look_ups] == [0, 0, 0]
    broker.freeze()
    with _in_time():
        for look in look_ups:
            with pytest.raises(BrokerUnavailableError):
                look(partitions)
        reader.close(timeout_seconds=1)


def test_a_member_rejoins_without_a_coordinator_that_answers(client: ClientName, broker: BrokerProcess) -> None:
    """The service would end by an error of this call."""
    settings = KafkaSettings(bootstrap_servers=broker.servers, client=client, session_timeout_seconds=3.0)
    member = open_reader(settings, group="frozen")
    member.subscribe(["events"])
    settle(member)
    broker.freeze()
    with _in_time():
        member.rejoin()
    assert member.assignment() == frozenset()
    broker.thaw()
    settle(member)
    member.close(timeout_seconds=1)
