"""Children of multiprocessing and billiard: what each sent arrives, in a stream of its own, however the child ends."""

from __future__ import annotations

import pytest

from tests.apps.interpreters import IS_SMOKE, require
from tests.apps.programs import App

pytestmark = pytest.mark.slow

CHILDREN = 4

CASES = [
    *(
        (library, method, ending)
        for library in ("multiprocessing", "billiard")
        for method in ("fork", "spawn")
        for ending in ("returns", "exits", "pool")
        if (library, ending) != ("billiard", "pool")  # its children run nothing at their end, see below
    ),
    ("multiprocessing", "forkserver", "returns"),
    ("multiprocessing", "fork", "executor"),
    ("multiprocessing", "spawn", "executor"),
]
SMOKE = [("multiprocessing", "fork", "returns"), ("billiard", "fork", "returns")]


@pytest.mark.parametrize(("library", "method", "ending"), SMOKE if IS_SMOKE else CASES)
def test_what_every_child_sent_arrives(app: App, library: str, method: str, ending: str) -> None:
    require(app.python, library)
    done = app.run("children.py", library, method, ending, str(CHILDREN))
    assert (done.returncode, done.stdout) == (0, "")
    found = app.arrived(f"{library}, {method}, {ending}", CHILDREN)
    assert found.numbers == set(range(1, CHILDREN + 1)), done.stderr
    assert "pool" in ending or ending == "executor" or len(found.streams) == CHILDREN


@pytest.mark.beyond_smoke
def test_children_that_a_pool_terminates_deliver_with_flush_on_sigterm(app: App) -> None:
    done = app.run(
        "children.py", "multiprocessing", "fork", "pool in a with block", str(CHILDREN), APP_FLUSHES_ON_SIGTERM="1"
    )
    assert (done.returncode, done.stdout) == (0, "")
    found = app.arrived("multiprocessing, fork, pool in a with block, flush_on_sigterm", CHILDREN)
    assert found.numbers == set(range(1, CHILDREN + 1)), done.stderr


@pytest.mark.beyond_smoke
@pytest.mark.parametrize(
    ("library", "ending"), [("multiprocessing", "terminated"), ("billiard", "terminated"), ("billiard", "pool")]
)
def test_what_killed_children_kept_arrives_at_the_next_start(app: App, library: str, ending: str) -> None:
    require(app.python, library)
    app.environ["FLOWISE_TELEMETRY_SPOOL_DIR"] = str(app.folder / "spool")
    away = {"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = app.run("children.py", library, "fork", ending, str(CHILDREN), **away)
    assert done.returncode == 0, done.stderr
    again = app.run("sending.py", APP_SENDS_FIRST="1")
    assert again.returncode == 0, again.stderr
    found = app.arrived(f"{library}, fork, {ending}, spool, next start", CHILDREN + 1)
    assert found.numbers == set(range(CHILDREN + 1)), done.stderr
