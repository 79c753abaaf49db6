"""A sink that prints: ``jsonl:-``, for a pipe or for looking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from io import BufferedWriter
from typing import BinaryIO, Protocol

import polars as pl

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.jsonl.lines import lines_of, without_known
from flowise_telemetry_consumer.sinks.port import Batch, SourceProgress, WriteResult
from flowise_telemetry_consumer.sinks.rows import newest
from flowise_telemetry_schemas import EventSchema
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["JsonLinesStream"]


class _Writable(Protocol):
    def write(self, data: memoryview, /) -> int | None: ...


class JsonLinesStream:
    """Events as lines on a stream that cannot be read back.

    An event that occurs twice in one batch is printed once. What an earlier batch printed is not remembered: after a
    restart, or a retry of a batch that was cut off, lines are repeated, and readers tell by ``eventId``. There is no
    transaction: who reads the pipe may have got a part of a batch that then failed.
    """

    def __init__(self, stream: BinaryIO) -> None:
        # Nothing may be left in a buffer: it would be tried again when Python exits, after we have said what failed.
        self._stream: _Writable = stream.raw if isinstance(stream, BufferedWriter) else stream
        self._schemas: dict[str, EventSchema] = {}
        self._counts: dict[str, int] = {}

    @property
    def url(self) -> str:
        """The address."""
        return "jsonl:-"

    def prepare(self, schemas: Iterable[EventSchema]) -> None:
        """Takes note of the events that there are."""
        self._schemas |= newest([*self._schemas.values(), *schemas])
        self._counts = {event: self._counts.get(event, 0) for event in self._schemas}

    def write(self, batch: Batch) -> WriteResult:
        """Prints a batch. Raises ``SinkError`` when nobody reads any more."""
        written: dict[str, int] = {}
        lines = []
        for event in sorted(batch.frames):
            if event not in self._schemas:
                raise SinkError(f"{event} was not prepared in {self.url}", event=event)
            fresh, ids = without_known(batch.frames[event], set())
            lines.append(lines_of(self._schemas[event], fresh))
            written[event] = len(ids)
        self._print(b"".join(lines))
        for event, count in written.items():
            self._counts[event] += count
        duplicates = {event: frame.height - written[event] for event, frame in batch.frames.items()}
        return WriteResult(written=written, duplicates=duplicates)

    def claim(
        self, source: str, partitions: Iterable[TopicPartition], *, description: str = ""
    ) -> Mapping[TopicPartition, int]:
        """Nothing: a stream keeps no progress."""
        return {}

    def progress(self) -> list[SourceProgress]:
        """Nothing."""
        return []

    def lock(self, name: str) -> None:
        """Takes nothing: every process has a stream of its own."""

    def staging(self, name: str) -> JsonLinesStream:
        """Raises ``SinkError``: a stream has no tables."""
        raise SinkError(f"{self.url} cannot have tables beside the live ones: sqlite, duckdb and postgresql can")

    def promote(self, name: str) -> None:
        """Raises ``SinkError``: there is nothing to swap."""
        self.staging(name)

    def read(self, event: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """Raises ``SinkError``: what was printed is gone."""
        raise SinkError(f"{self.url} cannot be read back; jsonl:///file can", event=event)

    def counts(self) -> dict[str, int]:
        """How many events of each kind this object has printed."""
        return dict(self._counts)

    def close(self) -> None:
        """Leaves the stream open: it was not ours to begin with."""

    def _print(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                # A pipe may take a part.
                rest = rest[self._stream.write(rest) or 0 :]
        except BrokenPipeError as error:
            raise SinkError(f"{self.url}: the program that was reading has ended") from error
        except OSError as error:
            raise SinkError(f"{self.url} cannot be written: {error.strerror}") from error
