"""uWSGI, which forks without Python's hooks: its workers' events arrive, in streams of their own."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.apps.interpreters import version
from tests.apps.programs import App
from tests.apps.traffic import request_all, wait_until_it_answers

pytestmark = [pytest.mark.slow, pytest.mark.beyond_smoke]

REQUESTS = 42

HOOKS = {"no hooks": [], "after": ["--py-call-osafterfork"], "both": ["--py-call-uwsgi-fork-hooks"]}


@pytest.mark.parametrize("hooks", HOOKS)
def test_what_every_worker_sent_arrives(app: App, hooks: str) -> None:
    uwsgi = Path(app.python).with_name("uwsgi")
    if not uwsgi.exists():
        pytest.skip(f"uwsgi is not installed for {app.python}: make test-apps")
    if hooks == "after" and version(app.python) >= "3.13":
        pytest.skip("uWSGI ends each worker of Python 3.13 so, whatever the app: unbit/uwsgi#2710")
    app.environ["APP_SENDS_FIRST"] = "1"
    app.go_without_posthog()  # its thread holds the interpreter's lock at the fork: 0 of 42 arrive, and a worker hangs
    socket = app.folder / "server"
    command = [str(uwsgi), "--http-socket", str(socket), "--master", "--processes", "2", "--enable-threads"]
    command += ["--pythonpath", app.environ["PYTHONPATH"], "--virtualenv", str(Path(app.python).parents[1])]
    command += ["--module", "web:application", "--max-requests", "10", "--min-worker-lifetime", "1", *HOOKS[hooks]]
    with app.running(*command, end=signal.SIGINT) as process:
        wait_until_it_answers(socket, process)
        request_all(socket, range(1, REQUESTS + 1))
        app.wait_for(0)  # the master's, which sends when it has its workers
    found = app.arrived(f"uwsgi, {hooks}", REQUESTS + 1)
    assert found.numbers == set(range(REQUESTS + 1))
    assert len(found.streams) >= 2, "the master's and the workers' events share a stream"
