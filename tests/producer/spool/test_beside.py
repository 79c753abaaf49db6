"""The client never keeps the spool waiting: not while it is imported, nor while the reason of a failure is sought."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry import Limits, Telemetry
from flowise_telemetry.delivery.backoff import Backoff
from flowise_telemetry_transport import InMemoryBroker
from flowise_telemetry_transport.clients import CLIENTS
from flowise_telemetry_transport.diagnosis import explain
from flowise_telemetry_transport.errors import BrokerUnavailableError
from flowise_telemetry_transport.ports import RecordWriter
from flowise_telemetry_transport.types import OnDelivery, OutgoingRecord
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import prediction_sent, stored, tool_created, wait_until

INSTALLED = sorted(name for name, client in CLIENTS.items() if find_spec(client.LIBRARY))
MORE_THAN_MEMORY_HOLDS = 300
LIMITS = Limits(buffer_max_bytes=1_048_576)  # some fifty such events


def send_more_than_memory_holds(telemetry: Telemetry) -> None:
    """Send at the pace of the disk. Fails if an event is refused."""
    for number in range(MORE_THAN_MEMORY_HOLDS):
        telemetry.send_telemetry(prediction_sent(40))
        if number % 10 == 9:
            wait_until(lambda: telemetry.stats().spooled == telemetry.stats().accepted)
    assert telemetry.stats().dropped == {}


class SlowStart:
    """A client whose import takes as long as the test wants."""

    def __init__(self, broker: InMemoryBroker) -> None:
        self.began, self.let_on, self.made = threading.Event(), threading.Event(), threading.Event()
        self.broker = broker
        self.closed = 0

    def __call__(self) -> RecordWriter:
        self.began.set()
        assert self.let_on.wait(600.0)  # as long as the test takes
        writer = self.broker.open_writer()
        close = writer.close

        def counted(*, timeout_seconds: float) -> None:
            self.closed += 1
            close(timeout_seconds=timeout_seconds)

        writer.close = counted  # type: ignore[method-assign]
        self.made.set()
        return writer


@pytest.fixture
def slow_start(broker: InMemoryBroker) -> Iterator[SlowStart]:
    client = SlowStart(broker)
    yield client
    client.let_on.set()


def test_events_go_to_disk_while_the_client_is_imported(
    slow_start: SlowStart, make_telemetry: MakeTelemetry, broker: InMemoryBroker, spool_dir: Path
) -> None:
    telemetry = make_telemetry(writer_factory=slow_start, limits=LIMITS)
    telemetry.send_telemetry(tool_created())
    assert slow_start.began.wait(30.0)
    send_more_than_memory_holds(telemetry)
    slow_start.let_on.set()
    wait_until(lambda: telemetry.flush(1.0))
    assert len(stored(broker)) == telemetry.stats().sent == MORE_THAN_MEMORY_HOLDS + 1
    telemetry.close()
    assert slow_start.closed == 1


def test_an_end_before_the_client_is_there_keeps_everything(
    slow_start: SlowStart, make_telemetry: MakeTelemetry, broker: InMemoryBroker, spool_dir: Path
) -> None:
    telemetry = make_telemetry(writer_factory=slow_start, limits=LIMITS)
    telemetry.send_telemetry(tool_created())
    assert slow_start.began.wait(30.0)
    send_more_than_memory_holds(telemetry)
    telemetry.close(timeout_seconds=0.2)
    stats = telemetry.stats()
    assert (stats.dropped, stats.spooled, stats.sent) == ({}, MORE_THAN_MEMORY_HOLDS + 1, 0)
    slow_start.let_on.set()
    assert slow_start.made.wait(30.0)
    wait_until(lambda: slow_start.closed == 1)  # nobody else would
    again = make_telemetry()
    wait_until(lambda: again.stats().sent == MORE_THAN_MEMORY_HOLDS + 1)


class FarAway:
    """A client whose broker answers no call within the time that it has, until the test lets it."""

    def __init__(self, writer: RecordWriter) -> None:
        self.writer = writer
        self.refused = 0
        self.answers = threading.Event()

    def send(self, record: OutgoingRecord, on_delivery: OnDelivery) -> None:
        if not self.answers.is_set():
            self.refused += 1
            raise BrokerUnavailableError("no metadata within 0.1 s")
        self.writer.send(record, on_delivery)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.writer, name)


@pytest.fixture
def far_away(broker: InMemoryBroker) -> FarAway:
    return FarAway(broker.open_writer())


@pytest.fixture
def sending(far_away: FarAway, make_telemetry: MakeTelemetry, spool_dir: Path) -> Telemetry:
    """An app that was given its first event."""
    telemetry = make_telemetry(writer_factory=lambda: far_away)
    telemetry.send_telemetry(tool_created())
    return telemetry


def test_a_broker_that_is_far_away_is_no_outage(
    far_away: FarAway, sending: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    wait_until(lambda: far_away.refused > 3)
    far_away.answers.set()
    assert sending.flush(30.0)
    assert (caplog.text, sending.stats().sent) == ("", 1)


@pytest.mark.slow
def test_a_broker_that_stays_away_is_an_outage(
    far_away: FarAway, sending: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    wait_until(lambda: sending.stats().last_error and "WARNING" in caplog.text)
    assert caplog.text.count("WARNING") == 1
    far_away.answers.set()
    assert sending.flush(30.0)


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Takes connections and says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.slow
@pytest.mark.parametrize("client", INSTALLED)
def test_events_go_to_disk_while_the_reason_of_a_failure_is_looked_for(
    client: str,
    silent_server: str,
    environ: dict[str, str],
    spool_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked, let_on = threading.Event(), threading.Event()

    def diagnosis(*_: object) -> BrokerUnavailableError:
        asked.set()
        assert let_on.wait(60.0)
        return BrokerUnavailableError("it takes connections and does not answer")

    monkeypatch.setattr(explain, "diagnose", diagnosis)
    environ |= {"FLOWISE_TELEMETRY_CLIENT": client, "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": silent_server}
    telemetry = Telemetry(app_version="3.0.1", environ=environ, first_run_notice=False, limits=LIMITS)
    try:
        telemetry.send_telemetry(tool_created())
        assert asked.wait(60.0)
        send_more_than_memory_holds(telemetry)
        assert telemetry.stats().last_error is None
        let_on.set()
        wait_until(lambda: telemetry.stats().last_error)
    finally:
        let_on.set()
        telemetry.close(timeout_seconds=0.2)
    warnings = [line.getMessage() for line in caplog.records if "delivery fails" in line.getMessage()]
    assert ["it takes connections and does not answer" in warning for warning in warnings] == [True]
    assert telemetry.stats().spooled == MORE_THAN_MEMORY_HOLDS + 1


STEPS: dict[str, tuple[Callable[[Backoff], object], ...]] = {
    "its reason": (lambda backoff: backoff.failed("again"), lambda backoff: backoff.say("its reason")),
    "it": (lambda backoff: backoff.failed("again"), lambda backoff: backoff.succeeded()),
}


@pytest.mark.parametrize("said", STEPS)
def test_an_outage_is_said_once_when_its_reason_is_known_or_it_is_over(
    said: str, caplog: pytest.LogCaptureFixture
) -> None:
    backoff = Backoff(lambda: 0.0)
    backoff.failed("it", unsaid=True)
    assert (backoff.failing, backoff.last_error, caplog.text) == (True, None, "")
    for step in STEPS[said]:
        step(backoff)
    backoff.say("too late")
    warnings = [line.getMessage() for line in caplog.records if line.levelno == logging.WARNING]
    assert [warning.rpartition(": ")[2] for warning in warnings] == [said]
