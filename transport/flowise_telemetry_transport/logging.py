"""What the Kafka clients say of themselves stays out of the log of the app that embeds us."""

from __future__ import annotations

import logging
import sys

__all__ = ["ClientLog", "quiet_kafka_python"]

logger = logging.getLogger("flowise_telemetry.transport")


def quiet_kafka_python() -> None:
    """Silences the ``kafka`` logger, to be called before ``kafka`` is imported.

    kafka-python logs ERROR lines of its own for each failed connection. They say nothing that our errors do not
    carry. Left
    as it is: a process which imported ``kafka`` itself before us, or gave that logger a level or a handler. To hear
    the client:
    ``logging.getLogger("kafka").setLevel(logging.DEBUG)``, at any time.
    """
    client = logging.getLogger("kafka")
    if "kafka" not in sys.modules and client.level == logging.NOTSET and not client.handlers:
        client.setLevel(logging.CRITICAL + 1)


class ClientLog:
    """Takes librdkafka's lines and passes them on at DEBUG, with librdkafka's own level in the text."""

    def log(self, level: int, message: str, *args: object) -> None:
        """One line of librdkafka; it calls this from inside ``poll``."""
        logger.debug("librdkafka %s: " + message, logging.getLevelName(level), *args)
