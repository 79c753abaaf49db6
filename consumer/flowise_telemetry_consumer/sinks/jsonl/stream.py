"""A sink that prints: ``jsonl:-``, for a pipe or a quick look."""

from __future__ import annotations

from collections.abc import Iterable
from io import BufferedWriter
from typing import BinaryIO, Protocol

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.jsonl.lines import lines_of, without_known
from flowise_telemetry_consumer.sinks.port import Batch, WriteResult, require_prepared
from flowise_telemetry_consumer.sinks.rows import newest
from flowise_telemetry_schemas import EventSchema

__all__ = ["JsonLinesStream"]


class _Writable(Protocol):
    def write(self, data: memoryview, /) -> int | None: ...


class JsonLinesStream:
    """Events as lines on a stream that cannot be read back.

    An event that occurs twice in one batch is printed once. Earlier batches are not remembered: after a restart, or the
    retry of a batch that was interrupted, lines are repeated, and readers deduplicate by ``eventId``. There is no
    transaction: a reader of the pipe may have received part of a batch that then failed.
    """

    def __init__(self, stream: BinaryIO) -> None:
        # Unbuffered: Python would flush a buffer's rest again at exit, after we have reported the failure.
        self._stream: _Writable = stream.raw if isinstance(stream, BufferedWriter) else stream
        self._schemas: dict[str, EventSchema] = {}

    @property
    def url(self) -> str:
        """The address."""
        return "jsonl:-"

    def prepare(self, schemas: Iterable[EventSchema]) -> None:
        """Take note of the events and their schemas."""
        self._schemas |= newest([*self._schemas.values(), *schemas])

    def write(self, batch: Batch) -> WriteResult:
        """Print a batch. Raises ``SinkError`` if nobody reads the stream any more."""
        require_prepared(self, batch, self._schemas)
        written: dict[str, int] = {}
        lines = []
        for event in sorted(batch.frames):
            fresh, ids = without_known(batch.frames[event], set())
            lines.append(lines_of(self._schemas[event], fresh))
            written[event] = len(ids)
        self._print(b"".join(lines))
        duplicates = {event: frame.height - written[event] for event, frame in batch.frames.items()}
        return WriteResult(written=written, duplicates=duplicates)

    def close(self) -> None:
        """Leave the stream open: it is the caller's."""

    def _print(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                # A pipe may accept only a part.
                rest = rest[self._stream.write(rest) or 0 :]
        except BrokenPipeError as error:
            raise SinkError(f"{self.url}: the program that was reading has ended") from error
        except OSError as error:
            raise SinkError(f"{self.url} cannot be written: {error.strerror}") from error
