"""Room on a disk."""

from __future__ import annotations

import shutil
from pathlib import Path

from flowise_telemetry_transport.diagnosis.finding import Finding, failed, ok, warning

__all__ = ["look_at_disk"]

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
