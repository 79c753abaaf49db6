from __future__ import annotations

import random
from collections.abc import Iterable

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from flowise_telemetry_consumer.decoding.frames import polars_schema
from flowise_telemetry_consumer.monitoring.missing_events import MissingEvents
from flowise_telemetry_schemas import catalog


def frame(stream: str, sequences: Iterable[int]) -> pl.DataFrame:
    numbers = list(sequences)
    return pl.DataFrame(
        {"stream_id": [stream] * len(numbers), "sequence": numbers}, schema_overrides={"sequence": pl.Int64}
    )


def observe(missing: MissingEvents, stream: str, sequences: Iterable[int]) -> int:
    missing.observe({"tool_created": frame(stream, sequences)})
    return missing.count


def test_nothing_is_missing_in_a_row() -> None:
    missing = MissingEvents()
    assert observe(missing, "a", range(5, 10)) == 0
    assert observe(missing, "a", range(10, 20)) == 0
    assert observe(missing, "b", [7]) == 0


def test_a_gap_is_missing_until_it_comes() -> None:
    missing = MissingEvents()
    assert observe(missing, "a", [0, 1, 5, 9]) == 6
    assert observe(missing, "a", [3]) == 5
    assert observe(missing, "a", [2, 4, 6, 7, 8]) == 0


def test_what_comes_twice_changes_nothing() -> None:
    missing = MissingEvents()
    observe(missing, "a", [0, 1, 3])
    assert observe(missing, "a", [0, 1, 3, 3, 1]) == 1
    assert observe(missing, "a", [2, 2]) == 0


def test_events_of_many_kinds_are_one_sequence() -> None:
    missing = MissingEvents()
    missing.observe({"tool_created": frame("a", [0, 2]), "prediction_sent": frame("a", [1, 3])})
    assert missing.count == 0
    missing.observe({})
    assert missing.count == 0


def test_a_forgotten_stream_keeps_what_was_missing_in_it() -> None:
    missing = MissingEvents(max_streams=2)
    observe(missing, "a", [0, 5])
    observe(missing, "b", [0])
    observe(missing, "c", [0])
    assert missing.count == 4
    assert observe(missing, "a", [1, 2, 3, 4]) == 4, "nobody remembers that these were missing"


def test_gaps_are_bounded() -> None:
    missing = MissingEvents(max_gaps=100)
    assert observe(missing, "a", range(0, 121, 2)) == 60
    assert observe(missing, "b", range(0, 121, 2)) == 120
    assert observe(missing, "a", [121]) == 120, "it is new, as it was forgotten"
    assert observe(missing, "b", range(1, 120, 2)) == 60


@given(lost=st.sets(st.integers(1, 59)), seed=st.integers(), size=st.integers(1, 60))
def test_the_order_in_which_they_come_does_not_matter(lost: set[int], seed: int, size: int) -> None:
    came = [number for number in range(60) if number not in lost]
    later = came[1:]
    random.Random(seed).shuffle(later)
    missing = MissingEvents()
    observe(missing, "a", [0])
    for start in range(0, len(later), size):
        observe(missing, "a", later[start : start + size])
    assert missing.count == len([number for number in lost if number < max(came)])


def state(stream: str, *, numbered: int, waiting: int = 0, dropped: int = 0) -> dict[str, pl.DataFrame]:
    row = {
        **dict.fromkeys(polars_schema(catalog().latest("stream_state")), 0),
        **{"stream_id": stream, "numbered": numbered, "waiting": waiting, "dropped_closed": dropped},
    }
    return {"stream_state": pl.DataFrame([row])}


def test_what_a_stream_says_of_itself_shows_the_losses_after_its_last_event() -> None:
    missing = MissingEvents()
    assert observe(missing, "a", range(10)) == 0
    missing.observe(state("a", numbered=15, waiting=2))
    assert missing.count == 3, "two are on their way"
    assert observe(missing, "a", range(10, 15)) == 0
    missing.observe(state("a", numbered=15))
    assert missing.count == 0


def test_a_stream_that_is_lost_whole_shows() -> None:
    missing = MissingEvents()
    missing.observe(state("a", numbered=40, waiting=3, dropped=37))
    assert missing.count == 37
    missing.observe(state("b", numbered=1_000))
    assert missing.count == 37, "its events may have arrived before this consumer began"
    assert observe(missing, "b", [1_000, 1_002]) == 38
