"""Bound of the client's batches: a topic refuses a batch that is too large as a whole, however small its records."""

from __future__ import annotations

import logging

from flowise_telemetry.encoding.encoder import Encoded

__all__ = ["BatchBound"]

logger = logging.getLogger("flowise_telemetry")

_LARGEST_BYTES = 1_000_000  # that a client puts into a batch by itself: librdkafka, to which smaller ones cost a fifth
_FIRST_BYTES = 32_768  # half of what kafka-python does


class BatchBound:
    """Halved at each refusal, as the Java client splits a refused batch, until a refused record was alone.

    ``is_kept`` is False where the client cannot be made anew with smaller batches: a refusal is then for good.
    """

    def __init__(self, *, is_kept: bool) -> None:
        self._is_kept = is_kept
        self._is_exceeded = False
        self.bytes: int | None = None
        """For the client: it begins another batch before one has more, unless a single record has. None: its own."""

    def is_alone(self, encoded: Encoded) -> bool:
        """Return True if a record that was refused for its size was alone in its batch; otherwise note the refusal."""
        if not self._is_kept or len(encoded.key) + len(encoded.value) >= (self.bytes or _LARGEST_BYTES):
            return True
        self._is_exceeded = True
        return False

    def is_exceeded(self) -> bool:
        """Return True if a batch was refused since the last ``halve``."""
        return self._is_exceeded

    def halve(self) -> None:
        """Make later batches smaller: the client has to be made anew."""
        self._is_exceeded = False
        self.bytes = _FIRST_BYTES if self.bytes is None else self.bytes // 2
        logger.info("telemetry: the topic refuses larger batches, from now on they have %d bytes", self.bytes)
