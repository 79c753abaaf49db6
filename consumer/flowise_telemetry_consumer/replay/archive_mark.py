"""The mark of a replay from an archive in a staging sink: begun, and finished once all rows are there."""

from __future__ import annotations

import hashlib
import json

from flowise_telemetry_consumer.sinks.port import Batch, KeepsProgress, Sink, SourceProgress
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["begin_archive", "finish_archive", "is_archive", "unfinished_archives"]

_PREFIX = "archive/"
_PLACE = TopicPartition("archive", 0)
_BEGUN, _FINISHED = 0, 1


def begin_archive(sink: Sink, source_url: str) -> None:
    """Record in a prepared sink that an archive's rows begin to come; does nothing where it keeps no progress."""
    if isinstance(sink, KeepsProgress):
        source = _source_of(source_url)
        sink.claim(source, [_PLACE], description=json.dumps({"archive": source_url}))
        sink.write(Batch(frames={}, offsets={_PLACE: _BEGUN}, source=source))


def finish_archive(sink: Sink, source_url: str) -> None:
    """Record, through the sink that began it, that all rows of an archive are there."""
    if isinstance(sink, KeepsProgress):
        sink.write(Batch(frames={}, offsets={_PLACE: _FINISHED}, source=_source_of(source_url)))


def is_archive(progress: SourceProgress) -> bool:
    """Return whether a source is the mark of an archive."""
    return progress.source.startswith(_PREFIX) and _PLACE in progress.next_offsets


def unfinished_archives(sink: KeepsProgress) -> list[str]:
    """Return the addresses of the archives whose rows are not all there."""
    return [
        str(json.loads(progress.description)["archive"])
        for progress in sink.progress()
        if is_archive(progress) and progress.next_offsets[_PLACE] != _FINISHED
    ]


def _source_of(url: str) -> str:
    return _PREFIX + hashlib.sha256(url.encode()).hexdigest()[:12]
