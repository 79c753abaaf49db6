"""The file of what an archive holds beside valid events."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from flowise_telemetry_consumer.archives.rejects import RejectsFile

__all__ = ["open_rejects", "rejects_beside"]

_MAX_NAME_CHARACTERS = 100


def open_rejects(opened: ExitStack, path: Path) -> RejectsFile:
    """Open a file of rejects, closed with ``opened``; that of an earlier run is removed."""
    rejects = RejectsFile(path)
    opened.callback(rejects.close)
    rejects.begin()
    return rejects


def rejects_beside(source: str) -> Path:
    """Return the default path for an archive: named after it, in this folder."""
    name = source.rstrip("/").rpartition("/")[2].partition("?")[0]
    plain = "".join(char if char.isalnum() or char in "._-" else "_" for char in name)
    return Path(f"{plain[-_MAX_NAME_CHARACTERS:] or 'archive'}.rejects.jsonl")
