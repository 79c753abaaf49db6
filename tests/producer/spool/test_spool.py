from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry import Limits
from flowise_telemetry.consent.status import status
from flowise_telemetry_transport import InMemoryBroker
from flowise_telemetry_transport.errors import DeliveryTimeoutError
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import stored, tool_created, wait_until


def leave_behind(count: int, make_telemetry: MakeTelemetry, broker: InMemoryBroker, spool_dir: Path) -> None:
    """Send to a broker that is away, and end."""
    broker.down = True
    telemetry = make_telemetry()
    for number in range(count):
        telemetry.send_telemetry(tool_created(number))
    wait_until(lambda: telemetry.stats().spooled == count)
    telemetry.close(timeout_seconds=2.0)
    wait_until(lambda: not list(spool_dir.glob("*-wal")))  # on a busy machine the file is closed later than that
    assert telemetry.stats().dropped == {}
    assert telemetry.stats().buffered == count
    broker.down = False


def test_what_was_delivered_leaves_no_file(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, spool_dir: Path
) -> None:
    telemetry = make_telemetry()
    for number in range(1200):
        telemetry.send_telemetry(tool_created(number))
    assert telemetry.flush(20.0)
    assert len(stored(broker)) == 1200
    telemetry.close()
    assert list(spool_dir.iterdir()) == []


@pytest.mark.slow
def test_what_was_left_is_sent_in_order_at_the_next_start(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, spool_dir: Path, environ: dict[str, str]
) -> None:
    leave_behind(50, make_telemetry, broker, spool_dir)
    assert status(environ=environ).spooled_events == 50
    telemetry = make_telemetry()  # and nothing is sent
    wait_until(lambda: telemetry.stats().sent == 50)
    assert telemetry.stats().recovered == 50
    assert telemetry.stats().buffered == 0
    records = stored(broker)
    assert [record["sequence"] for record in records] == list(range(50))
    assert [record["toolId"][-2:] for record in records] == [f"{number:02x}" for number in range(50)]
    telemetry.close()
    assert list(spool_dir.iterdir()) == []


@pytest.mark.slow
def test_files_are_for_this_user_only(make_telemetry: MakeTelemetry, broker: InMemoryBroker, spool_dir: Path) -> None:
    leave_behind(1, make_telemetry, broker, spool_dir)
    (file,) = spool_dir.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert spool_dir.stat().st_mode & 0o777 == 0o700


def test_a_long_outage_is_bounded_by_the_disk_and_not_by_memory(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, spool_dir: Path
) -> None:
    broker.fail_next_deliveries(DeliveryTimeoutError("away"), count=3)
    telemetry = make_telemetry(limits=Limits(buffer_max_events=200))
    for number in range(2000):
        telemetry.send_telemetry(tool_created(number))
        if number % 40 == 39:  # an app that sends for longer than memory would last
            wait_until(lambda: telemetry.stats().spooled == telemetry.stats().buffered)
    assert telemetry.stats().dropped == {}
    wait_until(lambda: telemetry.flush(1.0), timeout_seconds=30.0)
    assert [record["sequence"] for record in stored(broker)] == list(range(2000))


def test_the_folder_is_bounded_in_bytes(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, spool_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker.down = True
    telemetry = make_telemetry(limits=Limits(spool_max_bytes=20_000))
    for number in range(500):
        telemetry.send_telemetry(tool_created(number))
    wait_until(lambda: [line for line in caplog.records if "spool" in line.getMessage()])
    telemetry.close(timeout_seconds=0.2)
    assert telemetry.stats().dropped.get("closed", 0) > 400
    warnings = [line for line in caplog.records if line.levelno >= logging.WARNING]
    assert len(warnings) <= 3  # the spool's bound, the outage, the loss at the end
    assert sum(file.stat().st_size for file in spool_dir.iterdir()) < 60_000


@pytest.mark.slow
def test_events_on_disk_expire(make_telemetry: MakeTelemetry, broker: InMemoryBroker, spool_dir: Path) -> None:
    leave_behind(5, make_telemetry, broker, spool_dir)
    telemetry = make_telemetry(limits=Limits(max_age_seconds=0.0))
    wait_until(lambda: telemetry.stats().dropped == {"expired": 5})
    assert stored(broker) == []
    telemetry.close()
    assert list(spool_dir.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["not a database", "truncated", "empty"])
def test_a_damaged_file_is_put_aside_and_the_others_are_sent(
    damage: str,
    make_telemetry: MakeTelemetry,
    broker: InMemoryBroker,
    spool_dir: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    leave_behind(300, make_telemetry, broker, spool_dir)
    (file,) = spool_dir.iterdir()
    damaged = spool_dir / "events-0000000000000-000000000000.sqlite3"
    whole = file.read_bytes()
    damaged.write_bytes({"not a database": b"x" * 5000, "truncated": whole[: len(whole) // 2], "empty": b""}[damage])
    caplog.clear()
    telemetry = make_telemetry()
    wait_until(lambda: telemetry.stats().sent >= 300)
    telemetry.send_telemetry(tool_created(7))
    assert telemetry.flush(5.0)
    telemetry.close()
    left = [path.name for path in spool_dir.iterdir()]
    assert left == ([] if damage == "empty" else [damaged.name + ".corrupt"])
    assert len(caplog.records) == len(left)


def test_at_most_three_damaged_files_are_kept(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, spool_dir: Path
) -> None:
    spool_dir.mkdir()
    for number in range(6):
        (spool_dir / f"events-000000000000{number}-000000000000.sqlite3").write_bytes(b"x" * 5000)
    telemetry = make_telemetry()
    telemetry.send_telemetry(tool_created())
    assert telemetry.flush(5.0)
    assert len(list(spool_dir.glob("*.corrupt"))) == 3


def test_the_own_file_may_be_damaged_while_it_is_used(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, spool_dir: Path
) -> None:
    telemetry = make_telemetry()
    telemetry.send_telemetry(tool_created(0))
    assert telemetry.flush(5.0)
    for file in spool_dir.iterdir():
        with file.open("r+b") as damaged:
            damaged.write(b"x" * 200_000)
    for number in range(1, 500):
        telemetry.send_telemetry(tool_created(number))
    assert telemetry.flush(10.0)
    assert [record["sequence"] for record in stored(broker)] == list(range(500))


def test_a_folder_that_cannot_be_made_costs_one_warning_and_no_event(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    telemetry = make_telemetry(spool_dir=tmp_path / "file" / "spool")
    for number in range(10):
        telemetry.send_telemetry(tool_created(number))
        assert telemetry.flush(5.0)
    assert len(stored(broker)) == 10
    assert [line.levelname for line in caplog.records] == ["WARNING"]


def test_a_full_disk_costs_one_warning_and_no_event(
    make_telemetry: MakeTelemetry,
    broker: InMemoryBroker,
    spool_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from flowise_telemetry.spool.files import connect

    def connect_to_small_disk(path: Path, **settings: Any) -> sqlite3.Connection:
        connection = connect(path, **settings)
        connection.execute("PRAGMA max_page_count = 8")  # SQLITE_FULL, as a full disk gives it
        return connection

    monkeypatch.setattr("flowise_telemetry.spool.spool_file.connect", connect_to_small_disk)
    broker.down = True
    telemetry = make_telemetry()
    for number in range(1000):
        telemetry.send_telemetry(tool_created(number))
    wait_until(lambda: [line for line in caplog.records if "full" in line.getMessage()])
    broker.down = False
    assert telemetry.flush(10.0)
    assert len(stored(broker)) == 1000
    assert len(caplog.records) <= 2


@pytest.mark.slow
def test_a_file_that_a_living_process_holds_is_left_alone(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, spool_dir: Path
) -> None:
    leave_behind(3, make_telemetry, broker, spool_dir)
    (file,) = spool_dir.iterdir()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sqlite3, sys\n"
            "c = sqlite3.connect(sys.argv[1])\n"
            "c.execute('PRAGMA locking_mode = EXCLUSIVE'); c.execute('BEGIN IMMEDIATE')\n"
            "print('held', flush=True); sys.stdin.read()",
            str(file),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == b"held\n"
    telemetry = make_telemetry()
    telemetry.send_telemetry(tool_created(9))
    assert telemetry.flush(5.0)
    assert telemetry.stats().recovered == 0
    assert file.exists()
    telemetry.close()
    holder.stdin.close()
    holder.wait(10)
    holder.stdout.close()
    second = make_telemetry()
    wait_until(lambda: second.stats().sent == 3)


CRASHING = """
import signal, sys, time
from flowise_telemetry import Telemetry
from flowise_telemetry_transport import InMemoryBroker
from tests.producer.samples import tool_created
broker = InMemoryBroker()
broker.down = True
telemetry = Telemetry(app_version="3.0.1", spool_dir=sys.argv[1], writer_factory=broker.open_writer)
for number in range(int(sys.argv[2])):
    telemetry.send_telemetry(tool_created(number))
while telemetry.stats().spooled < int(sys.argv[2]):
    time.sleep(0.01)
print("ready", flush=True)
signal.pause()
"""


def test_events_survive_a_kill_of_several_processes(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, spool_dir: Path
) -> None:
    root = Path(__file__).parents[3]
    apps = [
        subprocess.Popen(
            [sys.executable, "-c", CRASHING, str(spool_dir), "200"],
            stdout=subprocess.PIPE,
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        for _ in range(3)
    ]
    for app in apps:
        assert app.stdout is not None
        assert app.stdout.readline() == b"ready\n"
    assert len(list(spool_dir.glob("*.sqlite3"))) == 3
    for app in apps:
        app.send_signal(signal.SIGKILL)
        app.wait(10)
        assert app.stdout is not None
        app.stdout.close()
    telemetry = make_telemetry()
    wait_until(lambda: telemetry.stats().sent == 600, timeout_seconds=20.0)
    records = stored(broker)
    assert len({record["eventId"] for record in records}) == 600
    streams = {record["streamId"] for record in records}
    assert len(streams) == 3
    for stream in streams:
        assert [r["sequence"] for r in records if r["streamId"] == stream] == list(range(200))


@pytest.mark.slow
def test_the_schema_of_the_file_is_plain_to_look_at(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, spool_dir: Path
) -> None:
    leave_behind(2, make_telemetry, broker, spool_dir)
    (file,) = spool_dir.iterdir()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT event, sequence FROM event ORDER BY id").fetchall() == [
            ("tool_created", 0),
            ("tool_created", 1),
            ("stream_state", -1),
        ]


class SilentWriter:
    """A client that waits for a broker which accepts connections and says nothing."""

    def __init__(self) -> None:
        self.entered, self.release = threading.Event(), threading.Event()

    def send(self, record: Any, on_delivery: Any) -> None:
        self.entered.set()
        self.release.wait(60.0)

    def poll(self) -> None: ...

    def flush(self, *, timeout_seconds: float) -> int:
        return 0

    def close(self, *, timeout_seconds: float) -> None: ...


def test_with_a_spool_nothing_accepted_ends_as_closed_when_the_client_hangs(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, spool_dir: Path
) -> None:
    writer = SilentWriter()
    telemetry = make_telemetry(writer_factory=lambda: writer)
    telemetry.send_telemetry(tool_created())
    assert writer.entered.wait(30.0)
    for number in range(1, 100):
        telemetry.send_telemetry(tool_created(number))
    telemetry.close(timeout_seconds=0.2)
    stats = telemetry.stats()
    assert (stats.dropped, stats.spooled, stats.buffered) == ({}, 100, 100)
    writer.release.set()
    wait_until(lambda: telemetry._worker._requests.over)
    again = make_telemetry()
    wait_until(lambda: again.stats().recovered == 100)
    assert again.flush(10.0)
    wait_until(lambda: again.stats().sent == 100)
    assert len({record["eventId"] for record in stored(broker)}) == 100


def test_with_a_spool_the_second_burst_of_an_outage_is_kept_too(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, spool_dir: Path
) -> None:
    broker.down = True
    telemetry = make_telemetry()
    for burst in range(2):
        for number in range(600):
            telemetry.send_telemetry(tool_created(600 * burst + number))
    telemetry.close(timeout_seconds=0.2)
    stats = telemetry.stats()
    assert (stats.dropped, stats.buffered) == ({}, 1200)
    broker.down = False
    again = make_telemetry()
    wait_until(lambda: again.stats().sent == 1200)
