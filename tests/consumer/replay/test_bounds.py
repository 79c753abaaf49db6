"""Bounds: an offset, a time or an age, and ranges that are none."""

from __future__ import annotations

import pytest

from flowise_telemetry_consumer import (
    ReplayRequest,
)
from flowise_telemetry_consumer.replay import time_text
from flowise_telemetry_schemas import ConfigurationError
from tests.consumer.replay.ranges import DAY_MS, NOW_MS, bound


@pytest.mark.parametrize(
    ("text", "offset", "time_ms"),
    [
        ("1200", 1200, None),
        ("2023-11-14T22:13:20Z", None, NOW_MS),
        ("2023-11-14T23:13:20.5+01:00", None, NOW_MS + 500),
        ("2023-11-14", None, 1_699_920_000_000),
        ("2d ago", None, NOW_MS - 2 * DAY_MS),
        (" 90  minutes ago", None, NOW_MS - 5_400_000),
        ("1w ago", None, NOW_MS - 7 * DAY_MS),
        ("now", None, NOW_MS),
        ("2023-11-14T22:13:20.001Z", None, NOW_MS + 1),
        ("0001-01-01", None, 0),
        ("0001-01-01T00:00+14:00", None, 0),
        ("1970-01-01T00:00+01:00", None, 0),
        ("1969-12-31T23:59:59.999Z", None, 0),
        ("99999w ago", None, 0),
    ],
)
def test_a_bound_is_an_offset_a_time_or_an_age(text: str, offset: int | None, time_ms: int | None) -> None:
    assert (bound(text).offset, bound(text).time_ms) == (offset, time_ms)


@pytest.mark.parametrize("text", ["", "yesterday", "-5", "2 fortnights ago", "2023-13-01", "9" * 30])
def test_what_is_no_bound_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not a bound: give an offset \(1200\), a time") as caught:
        bound(text)
    assert caught.value.argument == "begin"


@pytest.mark.parametrize(("begin", "end"), [("5", "5"), ("7", "2"), ("1d ago", "2d ago"), ("now", "2023-11-14")])
def test_a_reversed_range_is_refused(begin: str, end: str) -> None:
    with pytest.raises(ConfigurationError, match=f"the range is empty: {begin} is not before {end}") as caught:
        ReplayRequest(begin=bound(begin), end=bound(end))
    assert caught.value.argument == "begin"


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (NOW_MS, "2023-11-14T22:13:20Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (253_402_387_140_000, "9999-12-31T23:59:59Z"),
        (2**63 - 1, "9999-12-31T23:59:59Z"),
        (-(2**63), "0001-01-01T00:00:00Z"),
    ],
)
def test_every_time_that_a_record_may_have_is_shown(time_ms: int, text: str) -> None:
    assert time_text(time_ms) == text
