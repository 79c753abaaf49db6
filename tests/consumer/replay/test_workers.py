"""A replay in several processes: one that is killed, one whose sink refuses, a parent that is gone."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowise_telemetry_consumer import ReplayRequest, ReplayResult, SinkInUseError, SinkUnavailableError
from flowise_telemetry_consumer.clock import SystemClock
from flowise_telemetry_consumer.errors import WorkerError
from flowise_telemetry_consumer.replay import open_run, replay_with_workers
from flowise_telemetry_consumer.retry import RunControl
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import open_reader
from tests.cli.program import start
from tests.consumer.filled_topic import fill
from tests.consumer.service.running import wait_until
from tests.consumer.sinks.roles import ReadableSink, open_readable
from tests.consumer.world import MemorySink
from tests.services.kafka import KafkaService

# The mock cluster lives in this process and is too slow for two others that read from it.
pytestmark = pytest.mark.real_broker

EVENTS = 30_000


class Crew:
    """A topic, a sink, and the workers between them."""

    def __init__(self, kafka: KafkaService, url: str) -> None:
        self.kafka = kafka
        self.settings = kafka.settings(client="librdkafka")
        self.url = url
        self.topic = kafka.new_topic()
        fill(",".join(kafka.bootstrap_servers), self.topic, EVENTS)

    def run(
        self,
        on_report: Callable[[ReplayResult], None] | None = None,
        stop: threading.Event | None = None,
        lock_holder: ReadableSink | None = None,
        keep_lock_seconds: float = 5.0,
    ) -> ReplayResult:
        with contextlib.ExitStack() as opened:
            sink = open_readable(self.url)
            opened.callback(sink.close)
            sink.prepare(list(catalog()))
            reader = open_reader(self.settings)
            opened.callback(reader.close, timeout_seconds=5)
            run = open_run(reader, sink, ReplayRequest(topic=self.topic), clock=SystemClock())
            result = replay_with_workers(
                self.settings,
                self.url,
                run,
                workers=2,
                control=RunControl(stop=stop),
                on_report=on_report,
                lock_holder=lock_holder or sink,
                keep_lock_seconds=keep_lock_seconds,
            )
        assert result.discrepancies() == []
        return result

    def rows(self) -> int:
        sink = open_readable(self.url)
        with contextlib.closing(sink):
            return sum(sink.counts().values())


@pytest.fixture
def crew(kafka: KafkaService, tmp_path: Path) -> Iterator[Crew]:
    yield Crew(kafka, f"sqlite:///{tmp_path / 'copy.db'}")
    assert multiprocessing.active_children() == []


def test_two_workers_write_everything_once(crew: Crew) -> None:
    seen: list[int] = []
    result = crew.run(lambda now: seen.append(now.offsets_read))
    assert (result.complete, result.written.total(), result.already_there.total()) == (True, EVENTS, 0)
    assert seen == sorted(seen)
    assert len(result.partitions) == 4
    assert crew.rows() == EVENTS


def test_a_worker_that_is_killed_is_told_and_the_replay_goes_on_from_there(crew: Crew) -> None:
    def kill_one(_now: ReplayResult) -> None:
        for child in multiprocessing.active_children()[:1]:
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)

    with pytest.raises(WorkerError, match=r"a worker ended before it was done \(exit code -9\)") as caught:
        crew.run(kill_one)
    assert caught.value.retryable
    result = crew.run()
    assert result.resumed
    assert result.already_there.total() == 0
    assert crew.rows() == EVENTS


class Lapsed(MemorySink):
    """A sink whose lock cannot be kept: first it is away, then another process has it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def lock(self, name: str) -> None:
        self.asked.append(name)
        raise SinkUnavailableError("away") if len(self.asked) == 1 else SinkInUseError("another process has it now")


def test_the_parent_keeps_the_lock_and_ends_the_workers_when_it_is_lost(
    crew: Crew,
) -> None:
    holder = Lapsed()
    with pytest.raises(WorkerError, match="another process has it now") as caught:
        crew.run(lock_holder=holder, keep_lock_seconds=0)
    assert caught.value.retryable
    assert len(holder.asked) == 2
    assert holder.asked[0].startswith("replay/")
    # Where it is kept, they go on to the end.
    assert crew.run().complete
    assert crew.rows() == EVENTS


def test_workers_that_are_stopped_have_written_what_they_say(crew: Crew) -> None:
    stop = threading.Event()
    result = crew.run(lambda now: stop.set(), stop)
    assert crew.rows() == result.written.total()
    if not result.complete:  # a quick machine may be done by then
        assert crew.run().complete
    assert crew.rows() == EVENTS


def test_what_a_worker_s_sink_refuses_is_told(crew: Crew, kafka: KafkaService, tmp_path: Path) -> None:
    with contextlib.ExitStack() as opened:
        sink = open_readable(crew.url)
        opened.callback(sink.close)
        sink.prepare(list(catalog()))
        reader = open_reader(crew.settings)
        opened.callback(reader.close, timeout_seconds=5)
        run = open_run(reader, sink, ReplayRequest(topic=crew.topic), clock=SystemClock())
        away = f"sqlite:///{tmp_path}/nowhere/copy.db"
        with pytest.raises(WorkerError, match="make the folder") as caught:
            replay_with_workers(crew.settings, away, run, workers=2, lock_holder=sink)
        assert not caught.value.retryable


def test_workers_end_with_their_parent(crew: Crew, tmp_path: Path) -> None:
    parent = start(
        "replay",
        "--workers",
        "2",
        "--sink",
        crew.url,
        folder=tmp_path,
        env={
            "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": ",".join(crew.kafka.bootstrap_servers),
            "FLOWISE_TELEMETRY_TOPIC": crew.topic,
        },
    )
    wait_until(lambda: len(_children(parent)) >= 2 or parent.poll() is not None, "the workers are there")
    children = _children(parent)
    parent.kill()
    parent.communicate()
    wait_until(lambda: not any(map(_runs, children)), "the workers have ended")
    # What they wrote is where the next one goes on, and their lock is gone with the parent.
    assert crew.run().complete
    assert crew.rows() == EVENTS


def _runs(pid: int) -> bool:
    """Whether a process is there and no zombie that nobody has buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _children(parent: subprocess.Popen[str]) -> list[int]:
    try:
        found = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return []
    return [int(pid) for pid in found]
