from __future__ import annotations

import dataclasses

import pytest

from flowise_telemetry_consumer import DeadLetterLimitError, DeadLetterLimits
from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.dead_letters.limits import LimitWatch
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport.types import Record, TopicPartition
from tests.consumer.world import records


def observe(watch: LimitWatch, batch: list[Record], dead: list[int]) -> None:
    letters = [DeadLetter(batch[place], "empty", "decode", "DecodeError", "the value is empty") for place in dead]
    watch.observe(batch, letters)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("max_ratio", 1.5), ("max_ratio", -0.1), ("window_records", 0), ("max_run_records", -1)],
)
def test_a_limit_that_is_none_names_its_argument(argument: str, value: float) -> None:
    with pytest.raises(ConfigurationError) as caught:
        DeadLetterLimits(**{argument: value})  # type: ignore[arg-type]  # the wrong values are floats, too
    assert caught.value.argument == argument


def test_the_ratio_counts_once_the_window_is_full() -> None:
    watch = LimitWatch(DeadLetterLimits(max_ratio=0.5, window_records=10, max_run_records=None))
    observe(watch, records([b""] * 9), list(range(9)))
    observe(watch, records([b"good"] * 9), [])
    with pytest.raises(
        DeadLetterLimitError, match=r"^6 of the latest 11 records are dead letters, over .* 50%"
    ) as caught:
        observe(watch, records([b"good"] * 2 + [b""] * 6 + [b"good"] * 3), list(range(2, 8)))
    assert (caught.value.topic, caught.value.partition, caught.value.offset) == ("events", 0, 7)
    assert "mostly empty" in caught.value.message


def test_a_run_goes_on_over_batches_and_ends_with_a_good_record() -> None:
    watch = LimitWatch(DeadLetterLimits(max_ratio=None, max_run_records=3))
    observe(watch, records([b""] * 3), [0, 1, 2])
    observe(watch, records([b"good"] * 1), [])
    observe(watch, records([b""] * 2), [0, 1])
    with pytest.raises(
        DeadLetterLimitError, match=r"^4 consecutive dead letters in one partition, over the limit of 3"
    ):
        observe(watch, records([b""] * 2), [0, 1])


def test_a_run_outlives_batches_without_a_record_of_its_partition() -> None:
    watch = LimitWatch(DeadLetterLimits(max_run_records=3))
    elsewhere = [dataclasses.replace(each, partition=1) for each in records([b"good"] * 2)]
    observe(watch, records([b""] * 2), [0, 1])
    observe(watch, elsewhere, [])
    with pytest.raises(DeadLetterLimitError, match=r"^4 consecutive dead letters") as caught:
        observe(watch, records([b""] * 2), [0, 1])
    assert caught.value.argument == "max_run_records"


def test_a_run_ends_with_the_partition() -> None:
    watch = LimitWatch(DeadLetterLimits(max_run_records=3))
    observe(watch, records([b""] * 3), [0, 1, 2])
    watch.forget([TopicPartition("events", 0)])
    observe(watch, records([b""] * 3), [0, 1, 2])


def test_without_limits_nothing_stops() -> None:
    watch = LimitWatch(DeadLetterLimits())
    for _ in range(3):
        observe(watch, records([b""] * 2_000), list(range(2_000)))
