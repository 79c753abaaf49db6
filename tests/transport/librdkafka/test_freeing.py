"""librdkafka's clients end where they are closed, and not at the interpreter's end."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from flowise_telemetry_transport import KafkaSettings, OutgoingRecord, TransportError, open_admin, open_writer
from flowise_telemetry_transport.librdkafka import admin as admin_module
from flowise_telemetry_transport.librdkafka import writer as writer_module

SETTINGS = KafkaSettings(bootstrap_servers=("localhost:9092",), client="librdkafka", request_timeout_seconds=31)


class Client:
    """A client whose end takes until it is told, as that of one which looks a name up."""

    def __init__(self, freed: threading.Event, may_end: threading.Event) -> None:
        self.freed, self.may_end = freed, may_end

    def __del__(self) -> None:
        self.may_end.wait(30)
        self.freed.set()

    def __len__(self) -> int:
        return 0

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **named: 0


@pytest.fixture
def freed() -> threading.Event:
    return threading.Event()


@pytest.fixture
def may_end(freed: threading.Event, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set this to let the clients that are made in a test end."""
    may_end = threading.Event()
    for module in (writer_module, admin_module):
        monkeypatch.setattr(module, "make_client", lambda *given: Client(freed, may_end))
    monkeypatch.setattr(admin_module, "check_connection", lambda *given: None)
    return may_end


def test_closing_frees_the_client(freed: threading.Event, may_end: threading.Event) -> None:
    may_end.set()
    writer = open_writer(SETTINGS)
    writer.close(timeout_seconds=20)
    assert freed.is_set()
    writer.close(timeout_seconds=20)
    writer.poll()
    assert writer.flush(timeout_seconds=20) == 0
    with pytest.raises(TransportError, match="the writer is closed"):
        writer.send(OutgoingRecord("t", b"k", b"v"), lambda *given: None)
    freed.clear()
    open_admin(SETTINGS).close()
    assert freed.is_set()


def test_closing_waits_no_longer_than_told(freed: threading.Event, may_end: threading.Event) -> None:
    began = time.monotonic()
    open_writer(SETTINGS).close(timeout_seconds=0.01)
    assert time.monotonic() - began < 5
    assert not freed.is_set()
    may_end.set()
    assert freed.wait(20)
