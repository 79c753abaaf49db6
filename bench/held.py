"""Sinks that hold many events already, filled without a broker: batch after batch of the same rows under new ids."""

from __future__ import annotations

import datetime
from collections import Counter

import polars as pl
from tests.consumer.sinks.roles import open_claimed

from bench.psql import batches
from bench.topic import FilledTopic
from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_consumer.sinks.port import Batch
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import TopicPartition

__all__ = ["hold", "with_ids"]

_BATCH_ROWS = 50_000
_DAYS = 60
_SOURCE = "held"
_PARTITION = TopicPartition("held", 0)


def hold(url: str, model: FilledTopic, count: int) -> dict[str, int]:
    """Brings so many events into a sink, of the last two months and in the order of time; how many of each kind."""
    records = batches(model, _BATCH_ROWS)[0]
    frames = Decoder(catalog()).decode(records).frames
    rows = sum(frame.height for frame in frames.values())
    begun = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=_DAYS)
    sink = open_claimed(url)
    sink.prepare(catalog())
    sink.claim(_SOURCE, [_PARTITION])
    held: Counter[str] = Counter()
    for first in range(0, count, rows):
        moment = begun + datetime.timedelta(days=_DAYS) * (first / count)
        renamed: dict[str, pl.DataFrame] = {}
        number = first
        for event, frame in frames.items():
            renamed[event] = with_ids(frame, moment, number)
            number += frame.height
            held[event] += frame.height
        sink.write(Batch(renamed, {_PARTITION: number}, _SOURCE))
    sink.close()
    return dict(held)


def with_ids(
    frame: pl.DataFrame, moment: datetime.datetime, first: int, *, over: datetime.timedelta = datetime.timedelta()
) -> pl.DataFrame:
    """Return the rows of a frame as other events, of one moment or of times that are spread evenly from there on."""
    begun_ms, over_ms = int(moment.timestamp() * 1000), over // datetime.timedelta(milliseconds=1)
    times = [begun_ms + over_ms * place // max(1, frame.height - 1) for place in range(frame.height)]
    texts = [f"{time_ms:012x}" for time_ms in times]
    ids = [f"{text[:8]}-{text[8:]}-7000-8000-{number:012x}" for number, text in enumerate(texts, start=first)]
    return frame.with_columns(
        pl.Series("event_id", ids, pl.String()),
        pl.Series("occurred_at", times, pl.Int64()).cast(pl.Datetime("ms", "UTC")),
    )
