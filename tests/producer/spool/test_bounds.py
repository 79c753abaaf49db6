"""A spool carries the producer through an outage: its bound is the disk's, whatever memory may hold."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flowise_telemetry import Limits, Telemetry
from flowise_telemetry_transport import InMemoryBroker
from flowise_telemetry_transport.topics import EVENTS_TOPIC
from flowise_telemetry_transport.types import OnDelivery, OutgoingRecord
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import prediction_sent, stored_records, tool_created, wait_until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
MIB = 1_048_576


class UnansweringWriter:
    """A client whose broker stopped to answer: it takes events and waits."""

    def send(self, record: OutgoingRecord, on_delivery: OnDelivery) -> None: ...

    def poll(self) -> None: ...

    def flush(self, *, timeout_seconds: float) -> int:
        return 0

    def close(self, *, timeout_seconds: float) -> None: ...


def folder_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir()) if folder.exists() else 0


def settled(telemetry: Telemetry) -> bool:
    """The sender has looked at everything that was accepted."""
    return not len(telemetry._queue) and not telemetry._worker._sender._unencoded  # type: ignore[union-attr]


@pytest.mark.parametrize("broker_is", ["away", "silent"])
@pytest.mark.parametrize("nodes", [1, 40])
def test_nothing_is_refused_while_the_disk_has_room(
    nodes: int, broker_is: str, make_telemetry: MakeTelemetry, broker: InMemoryBroker, spool_dir: Path
) -> None:
    broker.down = broker_is == "away"
    silent = {"writer_factory": UnansweringWriter} if broker_is == "silent" else {}
    telemetry = make_telemetry(limits=Limits(buffer_max_bytes=4 * MIB), **silent)
    event = prediction_sent(nodes)
    for number in range(4_000):
        telemetry.send_telemetry(event)
        if number % 50 == 49:  # an app that sends for longer than memory would last
            wait_until(lambda: telemetry.stats().spooled == telemetry.stats().buffered)
    stats = telemetry.stats()
    assert (stats.dropped, stats.spooled) == ({}, 4_000)


def test_the_folder_is_never_larger_than_its_bound_and_a_full_one_goes_on_emptying(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, spool_dir: Path
) -> None:
    broker.down = True
    telemetry = make_telemetry(limits=Limits(spool_max_bytes=MIB, buffer_max_events=1_000))
    largest = 0
    for number in range(6_000):
        telemetry.send_telemetry(tool_created(number))
        if number % 100 == 99:
            wait_until(lambda: settled(telemetry))
            largest = max(largest, folder_bytes(spool_dir))
    first = telemetry.stats()
    assert MIB // 2 < largest <= MIB
    assert first.spooled > 1_000
    assert first.dropped["queue_full"] > 0
    broker.down = False
    telemetry._worker._sender.retry_now()  # type: ignore[union-attr]
    wait_until(lambda: telemetry.stats().buffered == 0)
    assert folder_bytes(spool_dir) < MIB // 2
    broker.down = True
    for number in range(500):
        telemetry.send_telemetry(tool_created(number))
    wait_until(lambda: telemetry.stats().spooled == 500)


def test_all_processes_that_share_the_folder_share_its_bound(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, spool_dir: Path
) -> None:
    broker.down = True
    several = [make_telemetry(limits=Limits(spool_max_bytes=MIB)) for _ in range(3)]
    for number in range(3_000):
        for telemetry in several:
            telemetry.send_telemetry(tool_created(number))
        if number % 100 == 99:
            wait_until(lambda: all(settled(telemetry) for telemetry in several))
            assert folder_bytes(spool_dir) <= MIB
    assert sum(telemetry.stats().spooled for telemetry in several) > 1_000


SHARING = """
import sys
from flowise_telemetry import Limits, Telemetry
from flowise_telemetry_transport import InMemoryBroker
from tests.producer.samples import tool_created, wait_until
from tests.producer.spool.test_bounds import settled
broker = InMemoryBroker()
broker.down = True
limits = Limits(spool_max_bytes=int(sys.argv[2]))
telemetry = Telemetry(app_version="3.0.1", spool_dir=sys.argv[1], writer_factory=broker.open_writer, limits=limits)
def send(events):
    for number in range(events):
        telemetry.send_telemetry(tool_created(number))
        if number % 50 == 49:
            wait_until(lambda: settled(telemetry))
send(50)
wait_until(lambda: telemetry.stats().spooled)
print("ready", flush=True)  # it has a file
sys.stdin.readline()
send(6_000)
print(telemetry.stats().spooled, flush=True)
sys.stdin.readline()
"""


def test_so_do_processes_that_fill_it_at_once(spool_dir: Path, environ: dict[str, str]) -> None:
    command = [sys.executable, "-c", SHARING, str(spool_dir), str(MIB)]
    with contextlib.ExitStack() as stack:
        apps = [
            stack.enter_context(
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=ROOT,
                    env={**environ, "PYTHONPATH": str(ROOT)},
                )
            )
            for _ in range(2)
        ]
        answers = ThreadPoolExecutor(2)
        stack.callback(answers.shutdown)
        for app in apps:
            assert app.stdout is not None
            assert app.stdin is not None
            assert app.stdout.readline() == "ready\n"
        for app in apps:
            app.stdin.write("go\n")  # type: ignore[union-attr]
            app.stdin.flush()  # type: ignore[union-attr]
        spooled = [answers.submit(app.stdout.readline) for app in apps]  # type: ignore[union-attr]
        largest = 0

        def are_done() -> bool:
            nonlocal largest
            done = all(answer.done() for answer in spooled)
            largest = max(largest, folder_bytes(spool_dir))
            return done

        wait_until(are_done, timeout_seconds=120.0)
        assert MIB // 2 < largest <= MIB
        assert sum(int(answer.result()) for answer in spooled) > 1_000
        assert len(list(spool_dir.glob("*.sqlite3"))) == 2
        for app in apps:
            app.kill()


FILLING = """
import os, sys
from flowise_telemetry import Limits, Telemetry
from flowise_telemetry_transport import InMemoryBroker
from tests.producer.samples import prediction_sent, wait_until
broker = InMemoryBroker()
broker.down = True
telemetry = Telemetry(app_version="3.0.1", spool_dir=sys.argv[1], writer_factory=broker.open_writer)
for number in range(int(sys.argv[2])):
    telemetry.send_telemetry(prediction_sent(40))
    if number % 100 == 99:
        wait_until(lambda: telemetry.stats().spooled == number + 1)
os._exit(0)
"""


def fill(spool_dir: Path, events: int, environ: dict[str, str]) -> None:
    """Leave the files of a process that was killed, and adopted none."""
    alone = spool_dir.with_name("alone")
    command = [sys.executable, "-c", FILLING, str(alone), str(events)]
    subprocess.run(command, check=True, cwd=ROOT, env={**environ, "PYTHONPATH": str(ROOT)}, timeout=120)
    spool_dir.mkdir(exist_ok=True)
    for file in alone.iterdir():
        file.rename(spool_dir / file.name)


@pytest.mark.slow
def test_a_folder_over_its_bound_is_recovered_oldest_first_and_then_used_again(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, spool_dir: Path, environ: dict[str, str]
) -> None:
    for _ in range(3):
        fill(spool_dir, 600, environ)
    assert folder_bytes(spool_dir) > 2 * MIB
    limits = Limits(spool_max_bytes=MIB, buffer_max_events=300, buffer_max_bytes=MIB)
    telemetry = make_telemetry(limits=limits)
    wait_until(lambda: telemetry.stats().sent == 1_800, timeout_seconds=120.0)  # every removal waits for the disk
    assert telemetry.stats().recovered == 1_800
    for partition in range(broker.partition_counts()[EVENTS_TOPIC]):
        order = [record.key or b"" for record in stored_records(broker) if record.partition == partition]
        assert order == sorted(order)  # eventId begins with the time
    wait_until(lambda: not list(spool_dir.glob("events-*.sqlite3")) or folder_bytes(spool_dir) < MIB // 2)
    broker.down = True
    for number in range(100):
        telemetry.send_telemetry(tool_created(number))
    wait_until(lambda: telemetry.stats().spooled == 100)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if sys.platform != "linux" or shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("a small disk is a mount of tmpfs: it takes Linux and root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_disk(path: Path) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(512)):
            pass


@pytest.mark.slow
def test_what_was_kept_is_recovered_while_the_disk_is_full_and_the_rest_counted(
    small_disk: Path, make_telemetry: MakeTelemetry, broker: InMemoryBroker, environ: dict[str, str]
) -> None:
    spool_dir = small_disk / "spool"
    fill(spool_dir, 100, environ)
    fill_disk(small_disk / "others")
    assert shutil.disk_usage(small_disk).free == 0
    telemetry = make_telemetry(spool_dir=spool_dir, limits=Limits(buffer_max_events=200))
    wait_until(lambda: telemetry.stats().sent == 100)
    assert len(stored_records(broker)) == 100
    wait_until(lambda: shutil.disk_usage(small_disk).free > 0)  # the file is gone
    fill_disk(small_disk / "more")
    broker.down = True
    for number in range(1_000):
        telemetry.send_telemetry(tool_created(number))
        if number % 50 == 49:
            wait_until(lambda: settled(telemetry))
    stats = telemetry.stats()
    assert stats.dropped["queue_full"] + stats.buffered == 1_000
    telemetry.close(timeout_seconds=0.2)
    stats = telemetry.stats()
    assert sum(stats.dropped.values()) + stats.spooled == 1_000
