"""uWSGI, which forks without Python's hooks: its workers' events arrive, in streams of their own."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.apps.interpreters import INTERPRETERS, require
from tests.apps.programs import app
from tests.apps.traffic import request_all, wait_until_it_answers
from tests.services.kafka import KafkaService

pytestmark = pytest.mark.slow

REQUESTS = 42


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
@pytest.mark.parametrize("hooks", [[], ["--py-call-osafterfork"]], ids=["no hooks", "with hooks"])
@pytest.mark.parametrize("python", INTERPRETERS)
def test_what_every_worker_sent_arrives(
    kafka: KafkaService, tmp_path: Path, request: pytest.FixtureRequest, python: str, hooks: list[str], client: str
) -> None:
    uwsgi = Path(python).with_name("uwsgi")
    if not uwsgi.exists():
        pytest.skip(f"uwsgi is not installed for {python}: make test-apps")
    require(python, "confluent_kafka", "flowise_telemetry")
    with app(kafka, tmp_path, python, client, APP_SENDS_FIRST="1") as ours:
        socket = tmp_path / "server"
        command = [str(uwsgi), "--http-socket", str(socket), "--master", "--processes", "2", "--enable-threads"]
        command += ["--pythonpath", ours.environ["PYTHONPATH"], "--module", "web:application", "--max-requests", "10", "--min-worker-lifetime", "1"]
        command += ["--virtualenv", str(Path(python).parents[1]), "--disable-logging", *hooks]
        with ours.running(*command, end=signal.SIGINT) as process:
            wait_until_it_answers(socket, process)
            request_all(socket, range(1, REQUESTS + 1))
        found = ours.arrived(f"uwsgi, {'with' if hooks else 'no'} hooks", REQUESTS, request)
    assert found.numbers == set(range(REQUESTS + 1))
    assert len(found.streams) >= 3, "the master's and the workers' events share a stream"
