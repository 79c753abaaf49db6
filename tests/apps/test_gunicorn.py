"""gunicorn, whose workers end after so many requests: what each of them sent arrives, and no other URL waits."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.apps.interpreters import IS_SMOKE, require
from tests.apps.programs import App
from tests.apps.traffic import longest_ping_seconds, request_all, wait_until_it_answers

pytestmark = pytest.mark.slow

LONGEST_STANDSTILL_SECONDS = 10.0  # what stood still did so for 30 s and more

RELEASES = {"27": "", "22": "gunicorn-22"}
"""The folders beside the environment's own release; see ``install.sh``. Only the older one has workers of eventlet."""

MODES = {
    "sync": ["--worker-class", "sync"],
    "sync, preload": ["--worker-class", "sync", "--preload"],
    "gthread": ["--worker-class", "gthread", "--threads", "4"],
    "gthread, preload": ["--worker-class", "gthread", "--threads", "4", "--preload"],
    "gevent": ["--worker-class", "gevent"],
    "gevent, preload": ["--worker-class", "gevent", "--preload"],
    "eventlet, preload": ["--worker-class", "eventlet", "--preload"],
}
CASES = [(release, mode) for release in RELEASES for mode in MODES if "eventlet" not in mode or release == "22"]
SMOKE = [("27", "gthread, preload"), ("27", "gevent, preload"), ("22", "eventlet, preload")]


@pytest.mark.parametrize(("release", "mode"), SMOKE if IS_SMOKE else CASES)
def test_what_every_worker_sent_arrives(app: App, release: str, mode: str) -> None:
    require(app.python, "gunicorn", *(name for name in ("gevent", "eventlet") if name in mode))
    requests, of_a_worker = (2_000, 200) if mode == "gthread, preload" and not IS_SMOKE else (400, 100)
    if RELEASES[release]:
        app.environ["PYTHONPATH"] += f":{Path(app.python).parents[1] / RELEASES[release]}"
    if "preload" in mode:
        app.environ["APP_SENDS_FIRST"] = "1"
    socket = app.folder / "server"
    command = [app.python, "-m", "gunicorn", "--bind", f"unix:{socket}", "--workers", "2", *MODES[mode]]
    command += ["--max-requests", str(of_a_worker), "--log-level", "warning", "web:application"]
    ended = threading.Event()
    with app.running(*command) as process, ThreadPoolExecutor(1) as pool:
        wait_until_it_answers(socket, process)
        longest = pool.submit(longest_ping_seconds, socket, ended)
        try:
            request_all(socket, range(1, requests + 1))
        finally:
            ended.set()
    sent = set(range(0 if "preload" in mode else 1, requests + 1))
    assert sent - app.arrived(f"gunicorn {release}, {mode}", len(sent)).numbers == set()
    assert longest.result() < LONGEST_STANDSTILL_SECONDS
