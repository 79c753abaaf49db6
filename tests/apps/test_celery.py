"""Celery's prefork pool, each child of which ends after one task, by ``os._exit``: what it sent arrives."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.apps.interpreters import INTERPRETERS, IS_SMOKE, require
from tests.apps.programs import app
from tests.services.kafka import KafkaService

pytestmark = pytest.mark.slow

TASKS = 12 if IS_SMOKE else 40
LONGEST_SECONDS = 180.0


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
@pytest.mark.parametrize("tasks_of_a_child", [1, 5])
@pytest.mark.parametrize("python", INTERPRETERS)
def test_what_every_child_sent_arrives(
    kafka: KafkaService,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    python: str,
    tasks_of_a_child: int,
    client: str,
) -> None:
    require(python, "celery", "confluent_kafka", "flowise_telemetry")
    done = tmp_path / "done"
    for folder in ("queue", "control", "done"):
        (tmp_path / folder).mkdir()
    with app(kafka, tmp_path, python, client) as ours:
        call = f"import tasks\nfor number in range({TASKS}): tasks.work.delay(number)"
        off = {**ours.environ, "DISABLE_FLOWISE_TELEMETRY": "1"}
        subprocess.run([python, "-c", call], env=off, cwd=tmp_path, timeout=60, check=True)
        command = [python, "-m", "celery", "--app", "tasks", "worker", "--pool", "prefork", "--concurrency", "2"]
        command += ["--max-tasks-per-child", str(tasks_of_a_child), "--loglevel", "WARNING"]
        with ours.running(*command) as process:
            deadline = time.monotonic() + LONGEST_SECONDS
            while len(list(done.iterdir())) < TASKS:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.1)
        found = ours.arrived(f"celery, {tasks_of_a_child} a child", TASKS, request)
    assert found.numbers == set(range(TASKS))
