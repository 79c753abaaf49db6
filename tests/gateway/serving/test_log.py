"""What a request may leave in the log: that it failed, and by which kind of error."""

from __future__ import annotations

import logging

import pytest

from flowise_telemetry_gateway.intake.posthog import PosthogIntake
from tests.gateway.conftest import KEY, MakeGateway, tool

SECRET = "sk-live-of-jane"


def test_a_failure_is_logged_by_its_kind_without_a_word_of_the_request(
    make_gateway: MakeGateway, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: PosthogIntake, messages: list[object]) -> None:
        raise KeyError(str(messages))

    monkeypatch.setattr(PosthogIntake, "read", fail)
    caplog.set_level(logging.DEBUG)
    world = make_gateway()
    answered = world.post("/batch/", {"api_key": KEY, "batch": [tool(1, distinct_id=SECRET)]})
    assert (answered.status, answered.json) == (500, {"error": "failed", "message": "the gateway failed"})
    failures = [line for line in caplog.records if line.levelno >= logging.ERROR]
    assert [(line.getMessage(), line.exc_info) for line in failures] == [("a request failed: KeyError", None)]
    assert SECRET not in caplog.text
    assert world.counters.requests["posthog", 500] == 1
