"""Waits between tries: they double, each with a random part, and end with a success or the limit."""

from __future__ import annotations

import dataclasses
import threading
from random import Random

import pytest

from flowise_telemetry_consumer import SinkError, SinkUnavailableError
from flowise_telemetry_consumer.errors import OutageError
from flowise_telemetry_consumer.retry import Backoff, RunControl, retry_until
from tests.consumer.world import FakeClock, LongestWaits

CONTROL = RunControl(no_progress_seconds=10, clock=FakeClock(), random=LongestWaits())


def backoff(random: Random) -> Backoff:
    return Backoff(initial_seconds=0.5, max_seconds=10, random=random)


def test_waits_double_up_to_the_longest() -> None:
    waits = backoff(LongestWaits())
    assert [waits.next_seconds() for _ in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]
    waits.reset()
    assert waits.next_seconds() == 0.5


def test_half_of_a_wait_is_random() -> None:
    waits = [backoff(Random(seed)).next_seconds() for seed in range(200)]
    assert all(0.25 <= seconds <= 0.5 for seconds in waits)
    assert max(waits) - min(waits) > 0.2
    assert [backoff(Random(7)).next_seconds() for _ in range(2)] == [backoff(Random(7)).next_seconds()] * 2


def control(stop: threading.Event | None = None) -> tuple[RunControl, FakeClock]:
    clock = FakeClock()
    return dataclasses.replace(CONTROL, clock=clock, stop=stop), clock


def test_a_step_is_tried_until_it_succeeds() -> None:
    outcomes = iter([SinkUnavailableError("away"), SinkUnavailableError("away"), None])

    def step() -> str:
        if error := next(outcomes):
            raise error
        return "written"

    given, clock = control()
    assert retry_until(step, given, what="the sink") == "written"
    assert clock.slept == [0.5, 1]


def test_an_outage_that_lasts_is_an_error_that_names_what_stayed_away() -> None:
    def step() -> None:
        raise SinkUnavailableError("sqlite:///x: locked")

    given, clock = control()
    with pytest.raises(OutageError, match=r"^the sink stayed unavailable: sqlite:///x: locked$"):
        retry_until(step, given, what="the sink")
    assert clock.slept == [0.5, 1, 2, 4, 8]
    stop = threading.Event()
    stop.set()
    given, clock = control(stop)
    with pytest.raises(OutageError):
        retry_until(step, given, what="the sink")
    assert clock.slept == []


def test_what_no_retry_mends_is_raised_at_once() -> None:
    def step() -> None:
        raise SinkError("sqlite:///x is no database")

    given, clock = control()
    with pytest.raises(SinkError, match="is no database"):
        retry_until(step, given, what="the sink")
    assert clock.slept == []
