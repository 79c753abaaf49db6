"""Folders to write to, and the room on their disks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from flowise_telemetry_transport.diagnosis.finding import Finding, failed, ok, warning

__all__ = ["look_at_disk", "look_at_folder"]

_LITTLE_BYTES = 1_073_741_824
_NONE_BYTES = 16_777_216
_MEGABYTE = 1_048_576


def look_at_disk(name: str, folder: Path, *, wanted_bytes: int = _LITTLE_BYTES) -> Finding:
    """Return how much room a folder has: next to none is a failure, less than ``wanted_bytes`` a warning."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return failed(name, f"{folder} cannot be looked at: {error.strerror}")
    says = f"{folder} has room for {free // _MEGABYTE:,} MB"
    if free < _NONE_BYTES:
        return failed(name, f"{says}: it is full", "free some, or name another disk")
    if free < wanted_bytes:
        return warning(name, f"{says}, less than {wanted_bytes // _MEGABYTE:,}", "free some, or name another disk")
    return ok(name, says)


def look_at_folder(name: str, folder: Path, *, wanted_bytes: int) -> Iterator[Finding]:
    """Yield whether files can be made in a folder, which is made itself if need be, and how much room there is."""
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    if not there.is_dir():
        yield failed(name, f"{there} is no folder", "name one")
    elif not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        yield failed(name, f"{there} may not be written by this user", "give it the rights, or name another folder")
    else:
        yield ok(name, f"{folder} {'may be written' if folder.is_dir() else 'is made at the first start'}")
        yield look_at_disk(f"{name}: disk", there, wanted_bytes=wanted_bytes)
