"""The installation's pseudonymous id, a different one every calendar month, and hashes of other ids by the month.

The id is HMAC-SHA256 of the month, keyed with a random secret that never leaves this machine, in the form of a UUIDv8
(RFC 9562, section 5.8). Whoever sees it can count installations within a month; by it, nobody can follow one into the
next. Other ids are hashed with a key of the month, made from the same secret: equal within a month, unlike after it.
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
from flowise_telemetry.identity.uuid8 import uuid8

__all__ = ["SECRET_FILE", "InstanceId", "find_secret", "load_secret", "secret_path"]

logger = logging.getLogger("flowise_telemetry")

SECRET_FILE = "instance-secret"  # noqa: S105 - the name of the file
_SECRET_BYTES = 32
_DAY_MS = 86_400_000
_MAX_DAYS = 16  # at once: relayed events are a week old at most
_MIN_GIVEN_CHARACTERS = 16
_MAX_FILE_BYTES = 4096


class InstanceId:
    """Ids derived from one secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._by_day: dict[int, tuple[str, bytes]] = {}

    def at(self, unix_ms: int) -> str:
        """Return the id of the calendar month, in UTC, that contains this time in milliseconds since 1970."""
        return self._of_day(unix_ms)[0]

    def hashed(self, text: str, unix_ms: int) -> str:
        """Return the hash, in the form of a UUIDv8, by which an id is known in the calendar month of this time."""
        key = self._of_day(unix_ms)[1]
        return uuid8(hmac.digest(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256))

    def _of_day(self, unix_ms: int) -> tuple[str, bytes]:
        day = unix_ms // _DAY_MS
        found = self._by_day.get(day)
        if found is None:
            month = time.strftime("%Y-%m", time.gmtime(unix_ms / 1000))
            with lifecycle.loading():  # OpenSSL takes locks
                made = (uuid8(self._digest(month)), self._digest(f"ids of {month}"))
            if len(self._by_day) >= _MAX_DAYS:
                self._by_day.clear()
            found = self._by_day[day] = made
        return found

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._secret, text.encode("ascii"), hashlib.sha256)


def secret_path(environ: Mapping[str, str]) -> Path | None:
    """Return the file of the secret if no variable gives one; it may not exist. None if this user has no home."""
    folder = config_folder(environ)
    return None if folder is None else folder / SECRET_FILE


def find_secret(environ: Mapping[str, str]) -> bytes | None:
    """Return the existing secret: from the variable, the mounted file or the config folder. Creates nothing.

    Return None if there is none, if it cannot be read, or if it has fewer than 16 characters and could be guessed; log
    a WARNING if a variable gave it.
    """
    given = environ.get(environment.INSTANCE_SECRET, "").strip()
    source = environment.INSTANCE_SECRET
    mounted = environ.get(environment.INSTANCE_SECRET_FILE, "").strip()
    if not given and mounted:
        given, source = _read(Path(mounted)) or "", environment.INSTANCE_SECRET_FILE
    if given or mounted:
        if len(given) < _MIN_GIVEN_CHARACTERS:
            logger.warning(
                "telemetry: %s does not give a secret of at least %d characters", source, _MIN_GIVEN_CHARACTERS
            )
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
    """Return the existing secret, or create one in a file of mode 0600.

    If it cannot be stored, or a variable gives an unusable one, the new secret lasts as long as this process, with one
    WARNING: each start then counts as an installation of its own.
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
        # Take the secret that another process has just written; replace a file without one.
        if not write_privately(path, fresh.hex() + "\n", replace=False):
            if (other := find_secret(environ)) is not None:
                return other
            write_privately(path, fresh.hex() + "\n", replace=True)
    except OSError as error:
        logger.warning("telemetry: cannot store the local secret, using one for this process only: %s", error)
    return fresh


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE_BYTES).decode("utf-8", "surrogateescape").strip()
    except (OSError, ValueError):
        return None
