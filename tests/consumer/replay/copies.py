"""A sink in a file that replays are killed on their way to, and resumed."""

from __future__ import annotations

import dataclasses
import threading

import pytest

from flowise_telemetry_consumer import (
    BatchLimits,
    ReplayRequest,
    ReplayResult,
    Shard,
    replay,
)
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_consumer.sinks.port import Batch, Sink, WriteResult
from flowise_telemetry_schemas import catalog
from tests.consumer.sinks.roles import DatabaseSink, open_database
from tests.consumer.world import TOPIC, World

ALL = ReplayRequest(topic=TOPIC)


class KilledError(Exception):
    """Stands for a process that ends between two writes."""


class Copy:
    """A sink in a file, opened anew for each replay as by a process of its own."""

    def __init__(self, world: World, url: str) -> None:
        self.world = world
        self.url = url

    def run(
        self,
        request: ReplayRequest = ALL,
        *,
        restart: bool = False,
        shard: Shard | None = None,
        run_id: str | None = None,
        stop: threading.Event | None = None,
        die_after_batches: int | None = None,
    ) -> ReplayResult:
        sink = open_sink(self.url)
        if die_after_batches is not None:
            let_die(sink, die_after_batches)
        try:
            result = replay(
                self.world.reader(None),
                sink,
                catalog(),
                request,
                restart=restart,
                shard=shard,
                run_id=run_id,
                batch=BatchLimits(rows=20),
                control=dataclasses.replace(self.world.control, stop=stop),
            )
        finally:
            sink.close()
        assert result.discrepancies() == []
        return result

    def sink(self) -> DatabaseSink:
        return open_database(self.url)

    def event_ids(self) -> list[str]:
        sink = self.sink()
        ids = [found for event in catalog().events for frame in sink.read(event) for found in frame["event_id"]]
        sink.close()
        return ids


def let_die(sink: Sink, batches: int) -> None:
    """The sink's process dies after some writes."""
    write, left = sink.write, iter(range(batches))

    def until_then(batch: Batch) -> WriteResult:
        if next(left, None) is None:
            raise KilledError
        return write(batch)

    sink.write = until_then  # type: ignore[method-assign]  # a fault on purpose


def died(copy: Copy, batches: int, request: ReplayRequest = ALL) -> None:
    with pytest.raises(KilledError):
        copy.run(request, die_after_batches=batches)
