"""Replays from an archive as a sink keeps them: which began, and which have ended.

``archive/<id>`` is the mark of one that fills staging tables, ``archive/<id>/<attempt>`` the progress of one that can
go on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from flowise_telemetry_consumer.sinks.port import Batch, KeepsProgress, Sink, SourceProgress
from flowise_telemetry_transport.types import TopicPartition

__all__ = [
    "FINISHED",
    "PLACE",
    "attempts_of",
    "begin_archive",
    "described",
    "finish_archive",
    "is_archive",
    "is_finished",
    "unfinished_archives",
]

PLACE = TopicPartition("archive", 0)
"""The partition whose offset says whether all rows are there."""

FINISHED = 1
_BEGUN = 0
_SOURCE = re.compile(r"archive/([0-9a-f]{12})(?:/(\d+))?")


def begin_archive(sink: Sink, source_url: str) -> None:
    """Record in a prepared sink that an archive's rows begin to come; does nothing where it keeps no progress."""
    if isinstance(sink, KeepsProgress):
        source = _source_of(source_url)
        sink.claim(source, [PLACE], description=json.dumps({"archive": source_url}))
        sink.write(Batch(frames={}, offsets={PLACE: _BEGUN}, source=source))


def finish_archive(sink: Sink, source_url: str) -> None:
    """Record, through the sink that began it, that all rows of an archive are there."""
    if isinstance(sink, KeepsProgress):
        sink.write(Batch(frames={}, offsets={PLACE: FINISHED}, source=_source_of(source_url)))


def is_archive(progress: SourceProgress) -> bool:
    """Return whether a source is a replay from an archive."""
    return _SOURCE.fullmatch(progress.source) is not None and "archive" in described(progress)


def is_finished(progress: SourceProgress) -> bool:
    """Return whether all rows of such a replay are there."""
    return progress.next_offsets.get(PLACE) == FINISHED


def described(progress: SourceProgress) -> dict[str, Any]:
    """Return what a replay recorded when it began; nothing for another source."""
    try:
        stored = json.loads(progress.description)
    except ValueError:
        return {}
    return stored if isinstance(stored, dict) else {}


def attempts_of(sink: KeepsProgress, run_id: str) -> dict[int, SourceProgress]:
    """Return the progress of all attempts of a replay, by number."""
    return {
        int(named[2]): progress
        for progress in sink.progress()
        if is_archive(progress)
        and (named := _SOURCE.fullmatch(progress.source)) is not None
        and named[1] == run_id
        and named[2] is not None
    }


def unfinished_archives(sink: KeepsProgress) -> list[str]:
    """Return the addresses of the archives whose rows are not all there, by the latest attempt of each replay."""
    latest: dict[str, tuple[int, SourceProgress]] = {}
    for progress in sink.progress():
        named = _SOURCE.fullmatch(progress.source)
        if named is not None and is_archive(progress):
            attempt = int(named[2] or 0)
            latest[named[1]] = max(latest.get(named[1], (-1, progress)), (attempt, progress), key=lambda its: its[0])
    return list(dict.fromkeys(str(described(it)["archive"]) for _, it in latest.values() if not is_finished(it)))


def _source_of(url: str) -> str:
    return "archive/" + hashlib.sha256(url.encode()).hexdigest()[:12]
