"""Waits between attempts after a failure, with one log line at the start of an outage and one at its end."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

__all__ = ["Backoff"]

logger = logging.getLogger("flowise_telemetry")

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0


class Backoff:
    """Exponential back-off up to 30 s, with jitter so that many installations do not retry in step."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        failing: str = "delivery fails, events are kept within the limits and retried",
        what: str = "delivery",
    ) -> None:
        self._clock = clock
        self._failing = failing
        self._what = what
        self._failing_since: float | None = None
        self._attempts = 0
        self._retry_at = 0.0
        self._unsaid: object | None = None
        self.last_error: str | None = None
        """The latest failure of this outage; None while deliveries work, or its reason is looked for."""
        self.lasts = False
        """True where that failure does not go away by waiting: someone has to mend it."""

    @property
    def failing(self) -> bool:
        """True from the first failure until the next success."""
        return self._failing_since is not None

    def wait_seconds(self) -> float:
        """Return the time left until the next attempt; 0 if deliveries work."""
        return max(0.0, self._retry_at - self._clock()) if self.failing else 0.0

    def retry_now(self) -> None:
        """End the current wait, because a caller is waiting for its delivery."""
        self._retry_at = 0.0

    def failed(self, error: object, *, unsaid: bool = False) -> None:
        """Note a retryable failure; those of one attempt's other records do not lengthen the wait.

        The first one of an outage that is ``unsaid`` is logged when ``say`` brings its reason, or the outage ends.
        """
        now = self._clock()
        self.lasts = not getattr(error, "retryable", True)
        if self._failing_since is None:
            self._failing_since = now
            self._unsaid = error
            if not unsaid:
                self.say()
        else:
            logger.debug("telemetry: %s still fails: %s", self._what, error)
            if self._unsaid is None:
                self.last_error = str(error)
        if now < self._retry_at:
            return
        wait = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(self._attempts, 10))
        self._attempts += 1
        self._retry_at = now + wait * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing

    def say(self, reason: object | None = None) -> None:
        """Log the first failure of the outage, by its reason if there is one, unless that was done."""
        if self._unsaid is None:
            return
        said, self._unsaid = self._unsaid if reason is None else reason, None
        self.last_error, self.lasts = str(said), not getattr(said, "retryable", True)
        logger.warning("telemetry: %s: %s", self._failing, said)

    def succeeded(self) -> None:
        """Note a delivery; the next failure starts a new outage."""
        if self._failing_since is None:
            return
        self.say()
        seconds = self._clock() - self._failing_since
        logger.info("telemetry: %s works again after %.0f s, at attempt %d", self._what, seconds, self._attempts + 1)
        self._failing_since = None
        self.last_error = None
        self.lasts = False
        self._attempts = 0
        self._retry_at = 0.0
