"""The first warning on stderr, for an app that has configured no logging and would never see one."""

from __future__ import annotations

import contextlib
import logging
import sys

__all__ = ["FirstWarning", "is_seen"]


_OURS = frozenset({"flowise_telemetry", "flowise_telemetry.transport"})


class FirstWarning(logging.Handler):
    """Writes one record, the first WARNING, to stderr if no handler of the app gets it, and none after it.

    Of the producer and the Kafka clients under it: a consumer in the same process has another reader.

    A handler of the app on our loggers or the root logger, and a logger that does not propagate, count as configured:
    then the app has decided who reads what.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._written = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, once."""
        if not self.will_write(record.name):
            return
        self._written = True
        # AttributeError: there is no stderr, under pythonw. ValueError: it is closed.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            said_once = "said once, as the app configures no logging"
            sys.stderr.write(f"{record.levelname} {record.name}: {record.getMessage()} ({said_once})\n")

    def will_write(self, name: str) -> bool:
        """Return True if the next WARNING of this logger is written to stderr."""
        return not self._written and name in _OURS and not self._is_configured(name) and sys.stderr is not None

    def _is_configured(self, name: str) -> bool:
        logger: logging.Logger | None = logging.getLogger(name)
        while logger is not None:
            if any(handler is not self for handler in logger.handlers) or not logger.propagate:
                return True
            logger = logger.parent
        return False


def is_seen(logger: logging.Logger) -> bool:
    """Return True if somebody gets to see a WARNING of this logger: by a handler of the app's, or on stderr."""
    if not logger.isEnabledFor(logging.WARNING):
        return False
    here: logging.Logger | None = logger
    while here is not None:
        for handler in here.handlers:
            if isinstance(handler, FirstWarning):
                if handler.will_write(logger.name):
                    return True
            elif not isinstance(handler, logging.NullHandler) and handler.level <= logging.WARNING:
                return True
        here = here.parent if here.propagate else None
    return False
