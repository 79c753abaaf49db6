"""Scripts that end: what was accepted arrives, also where Python gives no new thread; what cannot arrive is counted."""

from __future__ import annotations

import json

import pytest

from tests.apps.interpreters import IS_SMOKE
from tests.apps.programs import App

pytestmark = pytest.mark.slow

EVENTS = 10
IN_SUB_INTERPRETERS = ["in a sub-interpreter, closed", "in a sub-interpreter, flushed"]
ENDINGS = ["ends", "in an exit handler", "in a thread that ends last", *IN_SUB_INTERPRETERS]
# Where its import fails, its thread aborts the process, its call raises.
WITHOUT_POSTHOG = ["in a thread that ends last", *IN_SUB_INTERPRETERS, "in a destructor"]


@pytest.mark.parametrize("ending", ENDINGS[:1] if IS_SMOKE else ENDINGS)
def test_what_a_script_sent_arrives(app: App, ending: str) -> None:
    if ending in WITHOUT_POSTHOG:
        app.go_without_posthog()
    done = app.run("endings.py", ending, str(EVENTS))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert app.arrived(f"script, {ending}", EVENTS).numbers == set(range(EVENTS)), done.stderr


@pytest.mark.beyond_smoke
@pytest.mark.parametrize("ending", ["in an earlier exit handler", "in a destructor"])
def test_what_is_sent_after_the_end_is_counted_once(app: App, ending: str) -> None:
    if ending in WITHOUT_POSTHOG:
        app.go_without_posthog()
    done = app.run("endings.py", ending, str(EVENTS))
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    arrived = len(app.arrived(f"script, {ending}", EVENTS).numbers)
    assert counts["sent"] == arrived
    assert counts["accepted"] + counts["refused"] == EVENTS
    assert counts["sent"] + counts["closed"] == EVENTS, done.stderr
    assert counts["buffered"] == 0
