"""The anonymous id of this installation: another one every calendar month.

It is HMAC-SHA256 of the month under a random secret that never leaves this machine, formed as UUIDv8 (RFC 9562, section
5.8). Whoever sees the events can count installations within a month and cannot follow one from month to month.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from flowise_telemetry import environment, lifecycle
from flowise_telemetry.config_folder import config_folder, write_privately

__all__ = ["SECRET_FILE", "InstanceId", "find_secret", "load_secret", "secret_path"]

logger = logging.getLogger("flowise_telemetry")

SECRET_FILE = "instance-secret"  # noqa: S105 - the name of the file
_SECRET_BYTES = 32
_DAY_MS = 86_400_000
_MIN_GIVEN_CHARACTERS = 16
_MAX_FILE_BYTES = 4096


class InstanceId:
    """The ids that follow from one secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._by_day: dict[int, str] = {}

    def at(self, unix_ms: int) -> str:
        """The id for the calendar month, in UTC, of a moment in milliseconds since 1970."""
        day = unix_ms // _DAY_MS
        found = self._by_day.get(day)
        if found is None:
            self._by_day.clear()
            found = self._by_day[day] = self._of_month(time.strftime("%Y-%m", time.gmtime(unix_ms / 1000)))
        return found

    def _of_month(self, month: str) -> str:
        with lifecycle.loading():  # OpenSSL has locks that a fork in the middle would leave held in the child
            digest = bytearray(hmac.digest(self._secret, month.encode("ascii"), hashlib.sha256)[:16])
        digest[6] = 0x80 | digest[6] & 0x0F
        digest[8] = 0x80 | digest[8] & 0x3F
        text = digest.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def secret_path(environ: Mapping[str, str]) -> Path | None:
    """Where the secret is or would be kept when neither variable gives one."""
    folder = config_folder(environ)
    return None if folder is None else folder / SECRET_FILE


def find_secret(environ: Mapping[str, str]) -> bytes | None:
    """The secret that is there: from the variable, the file it names, or the config folder. Makes nothing.

    A secret of fewer than 16 characters could be guessed, and one that cannot be read is none: None then, with a
    WARNING where a variable gave it.
    """
    given = environ.get(environment.INSTANCE_SECRET, "").strip()
    source = environment.INSTANCE_SECRET
    mounted = environ.get(environment.INSTANCE_SECRET_FILE, "").strip()
    if not given and mounted:
        given, source = _read(Path(mounted)) or "", environment.INSTANCE_SECRET_FILE
    if given or mounted:
        if len(given) < _MIN_GIVEN_CHARACTERS:
            logger.warning("telemetry: %s gives no secret of %d characters or more", source, _MIN_GIVEN_CHARACTERS)
            return None
        return given.encode("utf-8", "surrogateescape")
    path = secret_path(environ)
    kept = _read(path) if path is not None else None
    try:
        secret = bytes.fromhex(kept) if kept else b""
    except ValueError:
        secret = b""
    return secret if len(secret) == _SECRET_BYTES else None


def load_secret(environ: Mapping[str, str]) -> bytes:
    """The secret that is there, else a new one, kept with mode 0600.

    Where it cannot be kept (or a variable gives one that is no good), it lasts as long as this process, with one
    WARNING: the installation then counts once for each start.
    """
    if (found := find_secret(environ)) is not None:
        return found
    fresh = secrets.token_bytes(_SECRET_BYTES)
    if (
        environ.get(environment.INSTANCE_SECRET, "").strip()
        or environ.get(environment.INSTANCE_SECRET_FILE, "").strip()
    ):
        return fresh
    path = secret_path(environ)
    try:
        if path is None:
            raise FileNotFoundError("this user has no home folder")
        # A file that holds no secret is replaced; one that another process has just written is taken.
        if not write_privately(path, fresh.hex() + "\n", replace=False):
            if (other := find_secret(environ)) is not None:
                return other
            write_privately(path, fresh.hex() + "\n", replace=True)
    except OSError as error:
        logger.warning("telemetry: the local secret is kept for this process only: %s", error)
    return fresh


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE_BYTES).decode("utf-8", "surrogateescape").strip()
    except (OSError, ValueError):
        return None
