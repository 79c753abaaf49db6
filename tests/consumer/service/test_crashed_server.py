"""A PostgreSQL that crashes under a consumer, where its role asks for commits that wait for no disk."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from tests.consumer.service.running import Service, wait_until
from tests.services.kafka import KafkaService
from tests.services.postgres_process import PostgresProcess

# A server of the test's own, which is started twice: nobody else's may crash.
pytestmark = [pytest.mark.slow, pytest.mark.services]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresProcess]:
    started = PostgresProcess().start()
    yield started
    started.stop()


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "flowise_telemetry")


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_a_crash_takes_nothing_that_was_committed(client: str, server: PostgresProcess, kafka: KafkaService) -> None:
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
        server.kill()
        committed = counters.written.total()
        server.start()
        wait_until(lambda: counters.written.total() + counters.duplicates.total() >= 2_000, "all after the crash")
        wait_until(lambda: counters.outage is None, "the end of the outage")
    it.sink.close()
    assert sorted(it.event_ids()) == sorted(it.accepted)
    assert committed > 0
    assert counters.reread == 0, "what was reported as written was on the disk"
    it.sink.close()
