"""What a call of the app meets on its own thread: no wait, no swallowed exception, no recursion."""

from __future__ import annotations

import gc
import logging
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from flowise_telemetry import Limits
from flowise_telemetry_transport import InMemoryBroker
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import stored, tool_created

ROOT = Path(__file__).parents[3]


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


# A thread that waits for the interpreter at such a fork leaves its lock unusable in the child; Python mends that in a
# hook. With the long interval our thread is idle, and waits for nothing of the interpreter's, when ``flush`` returns.
FORK_WITHOUT_HOOKS = """
import ctypes, os, sys
from flowise_telemetry import Telemetry
from flowise_telemetry_transport import InMemoryBroker, TopicSpec
from flowise_telemetry_transport.topics import EVENTS_TOPIC
from tests.producer.samples import tool_created

broker = InMemoryBroker()
broker.open_admin().create_topic(TopicSpec(EVENTS_TOPIC))
telemetry = Telemetry(app_version="3.0.1", first_run_notice=False, writer_factory=broker.open_writer,
    env_file=os.devnull, environ={"FLOWISE_TELEMETRY_CONFIG_DIR": sys.argv[1]})
sys.setswitchinterval(60)
telemetry.send_telemetry(tool_created())
assert telemetry.flush(10.0)
stream = telemetry.stats().stream_id
child = ctypes.PyDLL(None).fork()
sys.setswitchinterval(0.005)
if child == 0:
    for number in range(5):
        telemetry.send_telemetry(tool_created(number))
    flushed, stats = telemetry.flush(20.0), telemetry.stats()
    print("child", flushed, stats.accepted, stats.sent, stats.stream_id != stream, flush=True)
    os._exit(0)
os.waitpid(child, 0)
stats = telemetry.stats()
print("parent", stats.accepted, stats.sent, stats.stream_id == stream)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a fork through the C library")
def test_the_child_of_a_fork_without_hooks_begins_a_stream_of_its_own(tmp_path: Path) -> None:
    # As uWSGI forks without --py-call-osafterfork.
    command = [sys.executable, "-c", FORK_WITHOUT_HOOKS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, cwd=ROOT)
    assert (done.stdout.splitlines(), done.stderr) == (["child True 5 5 True", "parent 1 1 True"], "")
