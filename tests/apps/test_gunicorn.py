"""gunicorn, whose workers end after so many requests: what each of them sent arrives, and no other URL waits."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.apps.interpreters import INTERPRETERS, IS_SMOKE, require
from tests.apps.programs import app
from tests.apps.traffic import longest_ping_seconds, request_all, wait_until_it_answers
from tests.services.kafka import KafkaService

pytestmark = pytest.mark.slow

REQUESTS, REQUESTS_OF_A_WORKER = (400, 60) if IS_SMOKE else (2_000, 200)
LONGEST_STANDSTILL_SECONDS = 10.0  # what stood still did so for 30 s and more

MODES = {
    "sync": ["--worker-class", "sync"],
    "sync, preload": ["--worker-class", "sync", "--preload"],
    "gthread": ["--worker-class", "gthread", "--threads", "4"],
    "gthread, preload": ["--worker-class", "gthread", "--threads", "4", "--preload"],
    "gevent": ["--worker-class", "gevent"],
    "gevent, preload": ["--worker-class", "gevent", "--preload"],
}
SMOKE = ["gthread, preload", "gevent, preload"]

OLDER = "gunicorn-22"
"""A folder beside the environment's interpreter with another release; see ``install.sh``."""


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
@pytest.mark.parametrize("release", ["newest"] if IS_SMOKE else ["newest", OLDER])
@pytest.mark.parametrize("mode", SMOKE if IS_SMOKE else list(MODES))
@pytest.mark.parametrize("python", INTERPRETERS)
def test_what_every_worker_sent_arrives(
    kafka: KafkaService,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    python: str,
    mode: str,
    release: str,
    client: str,
) -> None:
    require(python, "gunicorn", "confluent_kafka", "flowise_telemetry", *(["gevent"] if "gevent" in mode else []))
    more = {"PYTHONPATH": str(Path(python).parents[1] / release)} if release != "newest" else {}
    sends_first = {"APP_SENDS_FIRST": "1"} if "preload" in mode else {}
    with app(kafka, tmp_path, python, client, **more, **sends_first) as ours:
        socket = tmp_path / "server"
        command = [python, "-m", "gunicorn", "--bind", f"unix:{socket}", "--workers", "2", *MODES[mode]]
        command += ["--max-requests", str(REQUESTS_OF_A_WORKER), "--log-level", "warning", "web:application"]
        ended = threading.Event()
        with ours.running(*command) as process, ThreadPoolExecutor(1) as pool:
            wait_until_it_answers(socket, process)
            longest = pool.submit(longest_ping_seconds, socket, ended)
            try:
                request_all(socket, range(1, REQUESTS + 1))
            finally:
                ended.set()
        found = ours.arrived(f"gunicorn {release}, {mode}", REQUESTS, request)
    assert set(range(1, REQUESTS + 1)) <= found.numbers
    assert not sends_first or 0 in found.numbers
    assert longest.result() < LONGEST_STANDSTILL_SECONDS
