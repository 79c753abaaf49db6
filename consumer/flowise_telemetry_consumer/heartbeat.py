"""A file whose age tells from outside whether the loop turns."""

from __future__ import annotations

from pathlib import Path

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_schemas import ConfigurationError

__all__ = ["Heartbeat"]

_INTERVAL_SECONDS = 1.0


class Heartbeat:
    """Touches a file, at most once a second; does nothing without one."""

    def __init__(self, file: Path | None, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._next_at: float | None = None

    def beat(self) -> None:
        """The loop has turned. Raises ``ConfigurationError`` when the file cannot be written the first time."""
        now = self._clock.monotonic()
        if self._file is None or (self._next_at is not None and now < self._next_at):
            return
        try:
            self._file.touch()
        except OSError as error:
            if self._next_at is None:
                raise ConfigurationError(f"heartbeat file {self._file}: {error.strerror}") from error
            # A file that is not touched grows old, which says it to whom it may concern.
        self._next_at = now + _INTERVAL_SECONDS
