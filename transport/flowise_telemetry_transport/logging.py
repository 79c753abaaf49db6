"""Keep the log lines of the Kafka clients out of the log of the app that embeds us."""

from __future__ import annotations

import logging
import sys

__all__ = ["ClientLog", "quiet_kafka_python"]

logger = logging.getLogger("flowise_telemetry.transport")


def quiet_kafka_python() -> None:
    """Silence the ``kafka`` logger. Call before ``kafka`` is imported.

    kafka-python logs ERROR lines for each failed connection, which add nothing to our errors. The logger is left alone
    if ``kafka`` was imported before, or if the logger has a level or a handler. To see the client's lines:
    ``logging.getLogger("kafka").setLevel(logging.DEBUG)``, at any time.
    """
    client = logging.getLogger("kafka")
    if "kafka" not in sys.modules and client.level == logging.NOTSET and not client.handlers:
        client.setLevel(logging.CRITICAL + 1)


class ClientLog:
    """A logger for librdkafka that passes its lines on at DEBUG, with librdkafka's own level in the text."""

    def log(self, level: int, message: str, *args: object) -> None:
        """Log one line. librdkafka calls this from inside ``poll``."""
        logger.debug("librdkafka %s: " + message, logging.getLevelName(level), *args)
