"""What the pages say of waits is what the code waits."""

from __future__ import annotations

import inspect

import pytest

from flowise_telemetry import Telemetry, lifecycle
from flowise_telemetry.delivery import worker
from tests.docs.blocks import pages

PRODUCER = pages()["docs/producer/README.md"]
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def word_of(seconds: float) -> str:
    """The number as the pages write it. Raises ``IndexError`` or ``ValueError`` for one that they would not."""
    if seconds != round(seconds):
        raise ValueError(f"{seconds} is no number of whole seconds")
    return WORDS[round(seconds)]


def plain(text: str) -> str:
    """The text without its line breaks."""
    return " ".join(text.split())


FORK, CONNECT = word_of(lifecycle._FORK_WAIT_SECONDS), word_of(lifecycle._CONNECT_WAIT_SECONDS)
BUDGET, PATIENCE = word_of(lifecycle.EXIT_BUDGET_SECONDS), word_of(lifecycle.EXIT_PATIENCE_SECONDS)


@pytest.mark.parametrize(
    "said",
    [
        f"A fork waits while the Kafka client is being imported (at most {FORK} seconds) or connects"
        f" (at most {CONNECT}).",
        f"At exit, all `Telemetry` objects together have {BUDGET} second to deliver, and begin it anew, for at most"
        f" {PATIENCE} seconds more",
    ],
)
def test_the_producers_page_tells_the_waits_of_the_code(said: str) -> None:
    assert said in plain(PRODUCER)


def test_docstrings_tell_them_too() -> None:
    assert f"wait, at most {lifecycle._FORK_WAIT_SECONDS:g} s, for" in plain(inspect.getdoc(lifecycle.loading) or "")
    assert f"at most for {CONNECT} second" in plain(inspect.getdoc(lifecycle.connecting) or "")
    close = plain(inspect.getdoc(Telemetry.close) or "")
    assert f"Takes up to {word_of(worker._KEEP_SECONDS)} seconds longer" in close
    assert f"and {worker._LAST_STEP_SECONDS:g} in a sub-interpreter" in close
    assert f"share {BUDGET} second, and at most {PATIENCE} more" in close
