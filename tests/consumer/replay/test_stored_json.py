"""What a sink keeps of a replay: descriptions of release 0.1.0 are read, and the same bytes are written today."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from flowise_telemetry_consumer import Bound, RecordFilter, ReplayCheckpoint, ReplayRequest, Shard
from flowise_telemetry_consumer.reading.offset_range import OffsetRange
from flowise_telemetry_consumer.replay.resolved_range import ResolvedRange
from flowise_telemetry_consumer.sinks.port import SourceProgress
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.types import TopicPartition

# Written by the code before cattrs: sources and descriptions as they stand in sinks.
WHOLE_TOPIC = (
    "replay/910c8f6df92c/1",
    '{"missing": {}, "range": {"0": [0, 100], "1": [0, 200], "10": [3, 3]}, "replay": {"events": [], "from": null,'
    ' "partitions": [], "to": null, "topic": "flowise.telemetry.events", "where": {}},'
    ' "sink": "sqlite:////data/events.db", "started_at_ms": 1700000000000, "topic_id": null}',
)
SHARD_WITH_FILTER = (
    "replay/9527eb4ea054/2-of-4/1",
    '{"missing": {"1": [[0, 10]], "3": [[5, 9], [12, 20]]}, "range": {"1": [10, 100], "3": [20, 200]},'
    ' "replay": {"events": ["prediction_sent", "tool_created"], "from": {"offset": null, "text": "2d ago",'
    ' "time_ms": 1699827200000}, "partitions": [1, 3], "to": {"offset": null, "text": "2023-11-14T12:00+01:00",'
    ' "time_ms": 1699959600000}, "topic": "events", "where": {"streamId": ["01890a5d-ac96-774b-bcce-b302099a8057"],'
    ' "version": ["3.0.0", "3.0.1"]}}, "sink": "postgresql://telemetry:***@db/telemetry",'
    ' "started_at_ms": 1700000000123, "topic_id": "AbCdEfGh-_0123456789Ab"}',
)
OFFSETS = (
    "replay/2bfecd0c3e3a/1",
    '{"missing": {"0": [[1200, 1300]]}, "range": {"0": [1200, 5000]}, "replay": {"events": [], "from":'
    ' {"offset": 1200, "text": "1200", "time_ms": null}, "partitions": [], "to": {"offset": 5000, "text": "5000",'
    ' "time_ms": null}, "topic": "ereignisse-ae", "where": {}}, "sink": "sqlite:///caf\\u00e9.db", "started_at_ms": 1,'
    ' "topic_id": "id"}',
)


def checkpoint(
    source: str,
    sink_url: str,
    request: ReplayRequest,
    ranges: dict[int, tuple[int, int]],
    missing: dict[int, list[tuple[int, int]]],
    topic_id: str | None,
    started_at_ms: int,
    shard: Shard | None = None,
) -> ReplayCheckpoint:
    def by_partition(values: dict[int, Any]) -> dict[TopicPartition, Any]:
        return {TopicPartition(request.topic, number): value for number, value in values.items()}

    offsets = OffsetRange(
        request.topic,
        by_partition({number: start for number, (start, _) in ranges.items()}),
        by_partition({number: end for number, (_, end) in ranges.items()}),
    )
    return ReplayCheckpoint(
        id=source.split("/")[1],
        attempt=1,
        sink_url=sink_url,
        request=request,
        resolved=ResolvedRange(offsets, by_partition(missing), topic_id),
        started_at_ms=started_at_ms,
        shard=shard,
        positions=by_partition({number: start for number, (start, _) in ranges.items()}),
        updated_at_ms=1_700_000_000_456,
    )


MEANINGS = [
    (
        WHOLE_TOPIC,
        checkpoint(
            WHOLE_TOPIC[0],
            "sqlite:////data/events.db",
            ReplayRequest(topic="flowise.telemetry.events"),
            {0: (0, 100), 1: (0, 200), 10: (3, 3)},
            {},
            None,
            1_700_000_000_000,
        ),
    ),
    (
        SHARD_WITH_FILTER,
        checkpoint(
            SHARD_WITH_FILTER[0],
            "postgresql://telemetry:***@db/telemetry",
            ReplayRequest(
                topic="events",
                begin=Bound.parse("2d ago", now_ms=1_700_000_000_000, argument="begin"),
                end=Bound.parse("2023-11-14T12:00+01:00", now_ms=0, argument="end"),
                partitions=(3, 1, 1),
                record_filter=RecordFilter.of(
                    catalog(),
                    events=["tool_created", "prediction_sent"],
                    where=[
                        ("version", "3.0.1"),
                        ("version", "3.0.0"),
                        ("stream_id", "01890a5d-ac96-774b-bcce-b302099a8057"),
                    ],
                ),
            ),
            {1: (10, 100), 3: (20, 200)},
            {1: [(0, 10)], 3: [(5, 9), (12, 20)]},
            "AbCdEfGh-_0123456789Ab",
            1_700_000_000_123,
            Shard(2, 4),
        ),
    ),
    (
        OFFSETS,
        checkpoint(
            OFFSETS[0],
            "sqlite:///café.db",
            ReplayRequest(
                topic="ereignisse-ae",
                begin=Bound("1200", offset=1200),
                end=Bound.parse(" 5000 ", now_ms=0, argument="end"),
            ),
            {0: (1200, 5000)},
            {0: [(1200, 1300)]},
            "id",
            1,
        ),
    ),
]


def progress(source: str, description: str, positions: dict[TopicPartition, int]) -> SourceProgress:
    return SourceProgress(source, description, positions, 1_700_000_000_456)


@pytest.mark.parametrize(("stored", "meaning"), MEANINGS, ids=["whole topic", "shard with filter", "offsets"])
def test_a_description_means_what_it_meant(stored: tuple[str, str], meaning: ReplayCheckpoint) -> None:
    assert ReplayCheckpoint.from_progress(progress(*stored, dict(meaning.positions))) == meaning


@pytest.mark.parametrize(("stored", "meaning"), MEANINGS, ids=["whole topic", "shard with filter", "offsets"])
def test_the_same_bytes_are_written_under_the_same_id(stored: tuple[str, str], meaning: ReplayCheckpoint) -> None:
    assert (meaning.source, meaning.description()) == stored
    assert meaning.request.run_id(meaning.sink_url) == meaning.id
    read = ReplayCheckpoint.from_progress(progress(*stored, {}))
    assert read is not None
    assert read.description() == stored[1]


def test_what_a_transaction_held_back_survives_its_json() -> None:
    stored, meaning = MEANINGS[0]
    held = dataclasses.replace(meaning.resolved, held_back={TopicPartition("flowise.telemetry.events", 1): (200, 210)})
    run = dataclasses.replace(meaning, resolved=held)
    assert '"held_back": {"1": [200, 210]}' in run.description()
    assert ReplayCheckpoint.from_progress(progress(stored[0], run.description(), dict(run.positions))) == run


def test_a_request_survives_its_json() -> None:
    for _, meaning in MEANINGS:
        assert ReplayRequest.from_json(json.loads(json.dumps(meaning.request.to_json()))) == meaning.request


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a key too many": lambda run: run.update(more=1),
    "a key too many of the request": lambda run: run["replay"].update(more=1),
    "a key too many of a bound": lambda run: run["replay"]["from"].update(more=1),
    "a missing key": lambda run: run.pop("missing"),
    "a topic that is no text": lambda run: run["replay"].update(topic=5),
    "an offset that is text": lambda run: run["range"].update({"1": ["10", 100]}),
    "a range of one offset": lambda run: run["range"].update({"1": [10]}),
    "a partition that is no number": lambda run: run["range"].update({"first": [10, 100]}),
    "a request that is a list": lambda run: run.update(replay=[]),
    "a reversed range": lambda run: run["replay"]["from"].update(time_ms=1_800_000_000_000),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_anything_else_is_not_taken_for_a_replay(change: Callable[[dict[str, Any]], object]) -> None:
    source, description = SHARD_WITH_FILTER
    run = json.loads(description)
    assert ReplayCheckpoint.from_progress(progress(source, json.dumps(run), {})) is not None
    change(run)
    assert ReplayCheckpoint.from_progress(progress(source, json.dumps(run), {})) is None


@pytest.mark.parametrize("description", ["", "null", "[]", "{", "a consumer group"])
def test_no_json_of_ours_is_not_taken_for_a_replay(description: str) -> None:
    assert ReplayCheckpoint.from_progress(progress("replay/0123456789ab/1", description, {})) is None


def test_the_error_names_no_more_than_the_shape() -> None:
    with pytest.raises(ValueError, match="not the JSON of a replay: TypeError: str expected, not int"):
        ReplayRequest.from_json({**MEANINGS[0][1].request.to_json(), "topic": 5})
