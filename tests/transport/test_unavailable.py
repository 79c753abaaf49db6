"""No broker answers: the error raised, its deadline, and an app's log that stays quiet."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from flowise_telemetry_transport import (
    BrokerUnavailableError,
    ClientName,
    DeliveryTimeoutError,
    KafkaSettings,
    OutgoingRecord,
    open_admin,
    open_reader,
    open_writer,
)
from flowise_telemetry_transport.clients import CLIENTS
from tests.transport.backends import InFlight

pytestmark = pytest.mark.slow  # the time-outs are waited for


@pytest.fixture(params=["refuses", "is silent"])
def nobody(request: pytest.FixtureRequest) -> Iterator[str]:
    """An address where connections are refused, or accepted and never answered."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if request.param == "is silent":
            server.listen()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def settings(client: ClientName, server: str, *, connect_timeout_seconds: float = 2) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=(server,), client=client, connect_timeout_seconds=connect_timeout_seconds)


@pytest.mark.parametrize("client", sorted(CLIENTS))
@pytest.mark.parametrize("role", ["reader", "admin"])
def test_opening_names_the_servers_in_time(client: ClientName, role: str, nobody: str) -> None:
    began = time.monotonic()
    with pytest.raises(BrokerUnavailableError, match=nobody) as caught:
        open_reader(settings(client, nobody)) if role == "reader" else open_admin(settings(client, nobody))
    assert time.monotonic() - began < 10
    assert caught.value.retryable


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_a_writer_opens_without_a_broker_and_is_bounded(client: ClientName, nobody: str) -> None:
    began = time.monotonic()
    patient = settings(client, nobody, connect_timeout_seconds=30)
    writer, deliveries = open_writer(patient, block_seconds=1, delivery_timeout_seconds=60), InFlight()
    assert time.monotonic() - began < 10  # it does not wait for a connection
    try:
        writer.send(OutgoingRecord("topic", b"k", b"v"), deliveries)
        waiting = 1
    except BrokerUnavailableError:
        waiting = 0
    assert writer.flush(timeout_seconds=1) == waiting
    writer.close(timeout_seconds=1)
    assert [type(error) for error in deliveries.failed] == [DeliveryTimeoutError] * waiting
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_a_client_that_fails_says_nothing_in_the_app_s_log(client: ClientName) -> None:
    code = f"""
import logging
logging.basicConfig(level=logging.INFO)
from flowise_telemetry_transport import *
settings = KafkaSettings(bootstrap_servers=("127.0.0.1:1",), client="{client}", connect_timeout_seconds=1)
writer = open_writer(settings, block_seconds=1)
try:
    writer.send(OutgoingRecord("t", b"k", b"v"), lambda *_: None)
except BrokerUnavailableError:
    pass
writer.flush(timeout_seconds=1)
writer.close(timeout_seconds=1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("", "")
