"""gevent and eventlet, whenever they patch the standard library: everything arrives and no greenlet waits for us."""

from __future__ import annotations

import json

import pytest

from tests.apps.interpreters import IS_SMOKE, require
from tests.apps.programs import App

pytestmark = pytest.mark.slow

MOMENTS = [
    "before import",
    "before Telemetry()",
    "after Telemetry()",
    "after a send",
    "in a child of a preloaded parent",
    "in a child of a parent that sent",
]
EVENTS = 50

# What stood still did so for 30 s and more. Importing a Kafka client keeps a busy machine for a second or two.
LONGEST_STANDSTILL_SECONDS = 5.0


@pytest.mark.parametrize("moment", MOMENTS[-1:] if IS_SMOKE else MOMENTS)
@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_every_event_arrives_and_other_greenlets_go_on(app: App, library: str, moment: str) -> None:
    require(app.python, library)
    app.go_without_posthog()  # it knows nothing of the moment
    done = app.run("greenlets.py", library, moment, str(EVENTS))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["sent"], found["flushed"], found["dropped"]) == (EVENTS, True, {}), done.stderr
    before = 1 if "send" in moment or "sent" in moment else 0
    assert app.arrived(f"{library}, {moment}", EVENTS + before).numbers == set(range(EVENTS + before))
    assert found["longest"] < LONGEST_STANDSTILL_SECONDS
