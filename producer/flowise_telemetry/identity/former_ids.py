"""Ids of an installation's months: what someone needs to have its events erased where they were sent.

While there is a secret they follow from it, and no file has them. When an opt-out deletes the secret, those of the last
24 months are kept beside it, in a file of mode 0600 that has nothing but month and id: otherwise nobody could name them
any more. ``flowise-telemetry forget`` prints them and deletes the file.
"""

from __future__ import annotations

import calendar
import contextlib
import re
import time
from collections.abc import Mapping
from pathlib import Path

from flowise_telemetry.config_folder import config_folder, write_privately
from flowise_telemetry.identity.instance_id import InstanceId, find_secret

__all__ = ["IDS_FILE", "MONTHS", "ids_path", "keep_ids", "monthly_ids"]

IDS_FILE = "former-instance-ids"
MONTHS = 24

_LINE = re.compile(r"(\d{4}-\d{2}) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_MAX_BYTES = 1_048_576


def ids_path(environ: Mapping[str, str]) -> Path | None:
    """Return the file of ids whose secret was deleted; it may not exist. None if this user has no home."""
    folder = config_folder(environ)
    return None if folder is None else folder / IDS_FILE


def monthly_ids(environ: Mapping[str, str], unix_ms: int | None = None) -> list[tuple[str, str]]:
    """Return month (``2026-01``) and id of the last 24 months, newest first: of this secret, and of deleted ones.

    Whether events were sent in a month is not known: nobody takes that down.
    """
    months = _months(time.time_ns() // 1_000_000 if unix_ms is None else unix_ms)
    secret = find_secret(environ)
    found = set() if secret is None else {(name, InstanceId(secret).at(at_ms)) for name, at_ms in months.items()}
    found |= {(month, its) for month, its in _kept(environ) if month in months}
    return sorted(found, reverse=True)


def keep_ids(environ: Mapping[str, str], unix_ms: int | None = None) -> None:
    """Keep the ids of a secret that is about to be deleted. Raises ``OSError``."""
    path = ids_path(environ)
    ids = monthly_ids(environ, unix_ms)
    if path is not None and ids:
        write_privately(path, "".join(f"{month} {its}\n" for month, its in ids), replace=True)


def _kept(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    path = ids_path(environ)
    text = ""
    if path is not None:
        with contextlib.suppress(OSError), path.open(encoding="ascii", errors="replace") as file:
            text = file.read(_MAX_BYTES)
    return [(match[1], match[2]) for match in map(_LINE.fullmatch, text.splitlines()) if match is not None]


def _months(unix_ms: int) -> dict[str, int]:
    """Return the last months, in UTC, each with its first millisecond."""
    now = time.gmtime(unix_ms / 1000)
    numbers = [now.tm_year * 12 + now.tm_mon - 1 - back for back in range(MONTHS)]
    return {
        f"{number // 12:04d}-{number % 12 + 1:02d}": calendar.timegm((number // 12, number % 12 + 1, 1, 0, 0, 0)) * 1000
        for number in numbers
    }
