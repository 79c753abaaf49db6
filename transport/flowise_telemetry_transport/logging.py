"""Keep the log lines of our Kafka clients out of the log of the app that embeds us, and the app's own in it."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterable
from types import FrameType

from flowise_telemetry_transport.masking import mask_values

__all__ = ["ClientLog", "quiet_kafka_python", "quiet_threads_of"]

logger = logging.getLogger("flowise_telemetry.transport")

_LIBRARY = "kafka"
_ADAPTER = f"{__package__}.kafka_python"


class _OurLines(logging.Filter):
    """Lets the lines of the app's clients through, and passes ours on at DEBUG under a name of ours.

    kafka-python logs an ERROR for each failed connection, which says nothing that our errors do not carry. Its loggers
    belong to all clients in the process, so a line is ours if the thread is one of our clients', or our adapter is on
    its stack. To see them: ``logging.getLogger("flowise_telemetry.transport").setLevel(logging.DEBUG)``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[str] = set()
        self.secrets: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if threading.current_thread().name not in self.threads and not _called_by_us():
            return True
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("kafka-python %s: %s", record.levelname, mask_values(record.getMessage(), self.secrets))
        return False


def _called_by_us() -> bool:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith(_ADAPTER):
            return True
        frame = frame.f_back
    return False


_OUR_LINES = _OurLines()


def quiet_kafka_python(secrets: Iterable[str] = ()) -> None:
    """Filter what our clients say on the loggers of kafka-python. Call after ``kafka`` was imported.

    Level, handlers and propagation of these loggers stay as the app, or nobody, set them. Some of kafka-python's lines
    name a whole configuration: ``secrets`` are masked.
    """
    _OUR_LINES.secrets |= set(secrets)
    for name, known in list(logging.root.manager.loggerDict.items()):
        if isinstance(known, logging.Logger) and name.partition(".")[0] == _LIBRARY:
            known.addFilter(_OUR_LINES)  # does nothing if it is there


def quiet_threads_of(client_id: str, group: str | None = None) -> None:
    """Take the threads of a client of ours, which have its id or group in their names, for ours."""
    _OUR_LINES.threads |= {f"{client_id}-network-thread", f"kafka-io-{client_id}"}  # kafka-python-ng, kafka-python 3
    if group is not None:
        _OUR_LINES.threads.add(f"{group}-heartbeat")


class ClientLog:
    """A logger for librdkafka that passes its lines on at DEBUG, with librdkafka's own level in the text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = tuple(secrets)

    def log(self, level: int, message: str, *args: object) -> None:
        """Log one line. librdkafka calls this from inside ``poll``."""
        if logger.isEnabledFor(logging.DEBUG):
            line = mask_values(message % args if args else message, self._secrets)
            logger.debug("librdkafka %s: %s", logging.getLevelName(level), line)
