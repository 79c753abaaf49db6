"""Project keys: who may send. A key is given to an installation, to a release, or to all."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from flowise_telemetry_schemas.errors import ConfigurationError

__all__ = ["MIN_KEY_CHARACTERS", "ProjectKey", "ProjectKeys"]

logger = logging.getLogger("flowise_telemetry.gateway")

MIN_KEY_CHARACTERS = 16
_MAX_FILE_BYTES = 1_048_576
_LOOK_EVERY_SECONDS = 1.0
_LINE = re.compile(r"(?:(?P<revoked>revoked)\s+)?(?:(?P<label>[\w.-]+):\s*)?(?P<key>\S+)")


@dataclass(frozen=True, slots=True)
class ProjectKey:
    """A key by its hash. ``number`` is its place among those given, from 0; ``label`` is for metrics."""

    number: int
    label: str
    digest: bytes
    revoked: bool = False


class ProjectKeys:
    """The keys of a text or a file: one a line, ``key``, ``label: key`` or ``revoked label: key``; ``#`` is a comment.

    A file is read again within a second of its change, so that a key is given or revoked without a restart; one that
    cannot be used then changes nothing, which one WARNING says. Raises ``ConfigurationError`` that never has a key.
    """

    def __init__(
        self, text: str = "", *, file: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = file
        self._clock = clock
        self._look_at = clock() + _LOOK_EVERY_SECONDS
        self._seen = _stamp(file)
        self._given = text
        self._keys = self._read()

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, given: str) -> ProjectKey | None:
        """Return the key, revoked if one of its lines says so; None for any other text. Takes as long for each."""
        self._look()
        digest = _digest(given)
        found = None
        for key in self._keys:
            if hmac.compare_digest(digest, key.digest) and (found is None or key.revoked):
                found = key
        return found

    def _read(self) -> tuple[ProjectKey, ...]:
        lines = self._given.replace(",", "\n").splitlines()
        if self._file is not None:
            try:
                with self._file.open("rb") as opened:
                    content = opened.read(_MAX_FILE_BYTES + 1)
                lines += content.decode("utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
                raise ConfigurationError(f"{self._file}: {why}", argument="keys_file") from None
            if len(content) > _MAX_FILE_BYTES:  # the last ones, or a revocation, would be left out
                raise ConfigurationError(f"{self._file}: it has more than 1 MiB", argument="keys_file")
        keys = tuple(_parsed(lines))
        if not any(not key.revoked for key in keys):
            raise ConfigurationError("there is no project key: give one a line, at least one that is not revoked")
        return keys

    def _look(self) -> None:
        now = self._clock()
        if self._file is None or now < self._look_at:
            return
        self._look_at = now + _LOOK_EVERY_SECONDS
        seen = _stamp(self._file)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._keys = self._read()
        except ConfigurationError as error:
            logger.warning("the keys stay as they are: %s", error)
        else:
            logger.info("the keys were read again: %d", len(self._keys))


def _parsed(lines: Iterable[str]) -> Iterable[ProjectKey]:
    number = 0
    for at, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        match = _LINE.fullmatch(text)
        if match is None or len(match["key"]) < MIN_KEY_CHARACTERS:
            raise ConfigurationError(
                f"project key {at}: write [revoked] [label:] key, the key of at least {MIN_KEY_CHARACTERS} characters"
            )
        yield ProjectKey(number, match["label"] or f"key-{number + 1}", _digest(match["key"]), bool(match["revoked"]))
        number += 1


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _stamp(file: Path | None) -> tuple[int, int, int] | None:
    if file is None:
        return None
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
