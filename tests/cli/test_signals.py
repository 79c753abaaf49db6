"""SIGTERM and Ctrl-C: heard from the first moment on, and the end of the process within a bound, whatever hangs."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import environment

ROOT = Path(__file__).parents[2]
_END_SECONDS = 60.0

# The kernel drops a signal that the first process of a container has no handler for.
_FIRST = """
import signal, sys
from flowise_telemetry_cli import main as entry
sys.modules["flowise_telemetry_cli.main"].run = lambda arguments: print(
    signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL,
    sorted({"polars", "kafka", "confluent_kafka", "psycopg", "fastavro"} & sys.modules.keys()),
)
entry()
"""
_HANGS = """
import threading
from flowise_telemetry_cli.signals import stopped_by_signals
with stopped_by_signals(bound_seconds=0.2) as stop:
    print("hanging", flush=True)
    while True:
        threading.Event().wait()
"""
_STOPS = """
import sys, time
from flowise_telemetry_cli.signals import stopped_by_signals
with stopped_by_signals(bound_seconds=600) as stop:
    print("running", flush=True)
    stop.wait()
    print("stopping", flush=True)
    time.sleep(600)
"""
# The server stands still: a write is never answered, and neither is the end of the connection.
_FROZEN_SINK = """
import functools, sys, threading
from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_cli.main import end_on_sigterm, run
from flowise_telemetry_consumer.service import consumer
from flowise_telemetry_consumer.sinks.sqlite.sink import SqliteSink
from flowise_telemetry_transport import InMemoryBroker, OutgoingRecord, TopicSpec
from tests.consumer.world import event_id, value_of

end_on_sigterm()
broker = InMemoryBroker(default_partitions=1)
writer = broker.open_writer()
for number in range(30):
    writer.send(OutgoingRecord("events", event_id(number).encode(), value_of(number)), lambda *_: None)
writer.flush(timeout_seconds=30)
broker.open_admin().create_topic(TopicSpec("events.dlq", partitions=1))

import flowise_telemetry_cli.commands.consume
command = sys.modules["flowise_telemetry_cli.commands.consume"]
command.ConsumerSettings = functools.partial(command.ConsumerSettings, stop_budget_seconds=0.2, commit_seconds=0.2)
consumer._CLOSE_SECONDS = 0.2

def write(sink, batch):
    print("frozen", flush=True)
    threading.Event().wait()

SqliteSink.write = write
sys.exit(run(
    ["consume", "--sink", "sqlite:///events.db", "--topic", "events", "--batch-seconds", "0.1"],
    Invocation(
        open_reader=lambda settings, group=None: broker.open_reader(group=group),
        open_writer=lambda settings, **options: broker.open_writer(),
    ),
))
"""


def _started(program: str, folder: Path, *, line: str) -> subprocess.Popen[str]:
    """A process that has printed this line."""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment(folder, PYTHONPATH=str(ROOT), FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS="nowhere:1"),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == f"{line}\n"
    return process


def test_a_handler_stands_before_anything_is_loaded(tmp_path: Path) -> None:
    process = _started(_FIRST, tmp_path, line="True []")
    assert process.communicate(timeout=_END_SECONDS)[1] == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_hangs_ends_at_the_bound_with_a_status_that_says_so(number: signal.Signals, tmp_path: Path) -> None:
    process = _started(_HANGS, tmp_path, line="hanging")
    process.send_signal(number)
    _, stderr = process.communicate(timeout=_END_SECONDS)
    assert (process.returncode, stderr) == (
        3,
        "not ended in time after a signal: ending now; what is not committed is read again\n",
    )


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    process = _started(_STOPS, tmp_path, line="running")
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert process.stdout.readline() == "stopping\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=_END_SECONDS)
    assert process.returncode == 1


@pytest.mark.slow
def test_consume_ends_while_its_sink_stands_still(tmp_path: Path) -> None:
    """The thread that hangs in the write is not waited for; the status says that records were left."""
    process = _started(_FROZEN_SINK, tmp_path, line="frozen")
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=_END_SECONDS)
    assert process.returncode == 3, stderr
    assert "written" in stdout
    assert "30 polled records are left to the next owner of events[0]" in stderr
