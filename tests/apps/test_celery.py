"""Celery's prefork pool, whose children end by ``os._exit`` after so many tasks: what they sent arrives."""

from __future__ import annotations

import subprocess
import time

import pytest

from tests.apps.interpreters import IS_SMOKE, require
from tests.apps.programs import App

pytestmark = pytest.mark.slow

LONGEST_SECONDS = 180.0


@pytest.mark.parametrize(("tasks", "of_a_child"), [(8, 1)] if IS_SMOKE else [(40, 1), (300, 50)])
def test_what_every_child_sent_arrives(app: App, tasks: int, of_a_child: int) -> None:
    require(app.python, "celery")
    done = app.folder / "done"
    for folder in ("queue", "control", "done"):
        (app.folder / folder).mkdir()
    call = f"import tasks\nfor number in range({tasks}): tasks.work.delay(number)"
    off = {**app.environ, "DISABLE_FLOWISE_TELEMETRY": "1", "APP_POSTHOG": ""}
    subprocess.run([app.python, "-c", call], env=off, cwd=app.folder, timeout=60, check=True)
    command = [app.python, "-m", "celery", "--app", "tasks", "worker", "--pool", "prefork", "--concurrency", "2"]
    command += ["--max-tasks-per-child", str(of_a_child), "--loglevel", "WARNING"]
    with app.running(*command) as process:
        deadline = time.monotonic() + LONGEST_SECONDS
        while len(list(done.iterdir())) < tasks:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.1)
    assert app.arrived(f"celery, {of_a_child} a child", tasks).numbers == set(range(tasks))
