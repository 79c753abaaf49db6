"""When to try again, and what to say about it: one line when deliveries begin to fail, one when they work again."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

__all__ = ["Outage"]

logger = logging.getLogger("flowise_telemetry")

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0


class Outage:
    """Waits that double up to 30 s, with a random part, so that many installations do not come back at once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: float | None = None
        self._failures = 0
        self._retry_at = 0.0

    @property
    def on(self) -> bool:
        """Whether deliveries fail at the moment."""
        return self._since is not None

    def wait_seconds(self) -> float:
        """How long not to try."""
        return max(0.0, self._retry_at - self._clock()) if self.on else 0.0

    def try_now(self) -> None:
        """Ends the wait at hand: someone asks for a delivery and waits for it."""
        self._retry_at = 0.0

    def failed(self, error: BaseException) -> None:
        """A delivery failed in a way that may pass."""
        now = self._clock()
        if self._since is None:
            self._since = now
            logger.warning("telemetry: events cannot be delivered and are kept, within bounds: %s", error)
        else:
            logger.debug("telemetry: still not delivered: %s", error)
        if now < self._retry_at:
            return  # many records of one failed attempt
        wait = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(self._failures, 10))
        self._failures += 1
        self._retry_at = now + wait * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing

    def delivered(self) -> None:
        """A delivery worked."""
        if self._since is None:
            return
        logger.info("telemetry: events are delivered again after %.0f s", self._clock() - self._since)
        self._since = None
        self._failures = 0
        self._retry_at = 0.0
