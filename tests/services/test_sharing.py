"""Workers of one run and the one service that they share."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.services.ladder import NoServiceError
from tests.services.sharing import SharedService, share
from tests.services.usage import Usage

PATIENCE_SECONDS = 30


@dataclass
class Server:
    """Counts its starts and stops."""

    address: dict[str, Any]
    stopped: threading.Event = field(default_factory=threading.Event)
    description: str = "a server"
    used_by: set[str] = field(default_factory=set)

    def stop(self) -> None:
        self.stopped.set()


@dataclass
class Workers:
    """What they started and what they were given the address of."""

    folder: Path
    started: list[Server] = field(default_factory=list)
    found: list[Server] = field(default_factory=list)

    def start(self) -> tuple[Server, list[str]]:
        self.started.append(Server({"port": 7000 + len(self.started)}))
        return self.started[-1], ["given: it is raining"]

    def at(self, address: dict[str, Any]) -> Server:
        self.found.append(Server(address))
        return self.found[-1]

    @contextlib.contextmanager
    def use(self) -> Iterator[Server]:
        with share("server", self.folder, self.start, self.at) as shared:
            assert shared.passed_over == ["given: it is raining"]
            yield shared.service


@pytest.fixture
def workers(tmp_path: Path) -> Workers:
    return Workers(tmp_path)


def test_the_second_worker_takes_what_the_first_started(workers: Workers) -> None:
    with workers.use() as first:
        with workers.use() as second:
            assert second.address == first.address
        assert not first.stopped.is_set()
    assert first.stopped.is_set()
    assert len(workers.started) == 1


def test_who_started_it_stops_it_once_the_others_have_left(workers: Workers) -> None:
    starting, other = contextlib.ExitStack(), contextlib.ExitStack()
    first = starting.enter_context(workers.use())
    other.enter_context(workers.use())
    leaving = threading.Thread(target=starting.close)
    leaving.start()
    assert not first.stopped.wait(0.2)
    other.close()
    assert first.stopped.wait(PATIENCE_SECONDS)
    leaving.join(PATIENCE_SECONDS)


def test_who_comes_after_the_end_starts_another(workers: Workers) -> None:
    for number in range(2):
        with workers.use() as server:
            assert server.address == {"port": 7000 + number}


def test_where_none_can_be_had_nobody_tries_twice(tmp_path: Path, workers: Workers) -> None:
    tries: list[None] = []

    def fail() -> tuple[Server, list[str]]:
        tries.append(None)
        raise NoServiceError("it is raining")

    for _ in range(2):
        with (
            pytest.raises(NoServiceError, match="it is raining"),
            share("server", tmp_path, fail, workers.at),
        ):
            pass
    assert len(tries) == 1


def test_the_summary_counts_a_test_once_whoever_ran_it() -> None:
    mine, theirs = Usage(), Usage()
    for usage, tests in ((mine, {"a", "b"}), (theirs, {"b", "c", ""})):
        usage.add("kafka broker", SharedService(Server({}, used_by=tests), ["given: it is raining"]))
    mine.merge(theirs.report())
    assert [*mine.lines()] == [
        "kafka broker: a server (3 tests)",
        "  not given: it is raining",
        "database: none was needed",
        "ClickHouse server: none was needed",
    ]


@pytest.mark.xdist_group("a group")
def test_a_group_is_one_to_the_scheduler(request: pytest.FixtureRequest) -> None:
    # It groups by the end of the id alone. Where pytest-xdist cannot write it, nothing else tells (pytest-xdist#1386).
    assert request.node.nodeid.endswith("@a group") == request.config.getoption("loadgroup", default=False)
