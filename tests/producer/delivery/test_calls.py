"""What a call of the app meets on its own thread: no wait, no swallowed exception, no recursion."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from flowise_telemetry import Limits
from flowise_telemetry_transport import InMemoryBroker
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import stored, tool_created, wait_until


class TimeLimitError(Exception):
    """What an app raises out of its signal handler."""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers that send signals")
def test_an_exception_of_the_app_s_signal_handler_reaches_the_app_and_no_event_counts_twice(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker
) -> None:
    def expire(*_: object) -> None:
        raise TimeLimitError

    before = signal.signal(signal.SIGALRM, expire)
    raised = 0
    gc.disable()  # Hypothesis has a callback in it, and Python goes on where one raises
    try:
        for delay in range(60):
            telemetry = make_telemetry()
            accepted = 0
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.00002 * (delay + 1))
                for number in range(20):
                    telemetry.send_telemetry(tool_created(number))
                    accepted += 1
                latest = time.monotonic() + 60.0
                while time.monotonic() < latest:  # until it is raised here, if it was not there
                    pass
            except TimeLimitError:
                raised += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            assert telemetry.flush(10.0)
            stats = telemetry.stats()
            assert accepted <= stats.accepted <= accepted + 1
            assert (stats.sent, stats.refused, stats.dropped, stats.buffered) == (stats.accepted, 0, {}, 0)
    finally:
        gc.enable()
        signal.signal(signal.SIGALRM, before)
    assert raised == 60
    by_stream: dict[str, list[int]] = {}
    for record in stored(broker):
        by_stream.setdefault(record["streamId"], []).append(record["sequence"])
    assert all(numbers == list(range(len(numbers))) for numbers in by_stream.values())


def test_a_logging_handler_that_sends_ends_in_no_recursion(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker
) -> None:
    broker.down = True
    telemetry = make_telemetry(limits=Limits(buffer_max_events=3))
    logger = logging.getLogger("flowise_telemetry")

    class Sending(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            telemetry.send_telemetry(tool_created())

    handler, level = Sending(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        for number in range(10):
            telemetry.send_telemetry(tool_created(number))
        assert telemetry.stats().dropped["queue_full"] >= 7
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def test_the_first_send_imports_nothing_on_the_caller_s_thread(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    telemetry = make_telemetry()
    caller, imported = threading.get_ident(), []

    class Watch:
        def find_spec(self, name: str, *_: object) -> None:
            if threading.get_ident() == caller:
                imported.append(name)

    monkeypatch.setattr(sys, "meta_path", [Watch(), *sys.meta_path])
    telemetry.send_telemetry(tool_created())
    assert imported == []
    assert telemetry.flush(10.0)


@pytest.mark.skipif(sys.platform != "linux", reason="a fork through the C library")
@pytest.mark.filterwarnings("ignore")
def test_the_child_of_a_fork_without_hooks_begins_a_stream_of_its_own(
    make_telemetry: MakeTelemetry, tmp_path: Path
) -> None:
    # As uWSGI forks without --py-call-osafterfork.
    telemetry = make_telemetry()
    telemetry.send_telemetry(tool_created())
    assert telemetry.flush(10.0)
    stream = telemetry.stats().stream_id
    told = tmp_path / "told"
    fork = ctypes.PyDLL(None).fork
    pid = fork()
    if pid == 0:
        try:
            for number in range(5):
                telemetry.send_telemetry(tool_created(number))
            flushed = telemetry.flush(20.0)
            stats = telemetry.stats()
            told.write_text(f"{flushed} {stats.accepted} {stats.sent} {stats.stream_id != stream}")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert told.read_text() == "True 5 5 True"
    assert telemetry.stats().accepted == 1
    wait_until(lambda: telemetry.stats().sent == 1)
