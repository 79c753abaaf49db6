"""Log lines of a service, on stderr: for people, or one JSON object a line for programs."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

__all__ = ["LOG_FORMATS", "LogFormat", "log_now_and_then", "start_logging"]

LogFormat = Literal["text", "json"]
LOG_FORMATS: tuple[LogFormat, ...] = ("text", "json")

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def start_logging(log_format: LogFormat) -> None:
    """Sends what the program and its libraries log, from INFO on, to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonFormatter() if log_format == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def log_now_and_then(logger: logging.Logger, *, every_seconds: float = 10.0) -> Callable[[str], None]:
    """A function that logs a text, unless it has done so just now: progress for those who keep the logs."""
    shown_at = time.monotonic()

    def show(text: str) -> None:
        nonlocal shown_at
        now = time.monotonic()
        if now - shown_at >= every_seconds:
            shown_at = now
            logger.info("%s", text)

    return show


class _JsonFormatter(logging.Formatter):
    """``time`` is RFC 3339 in UTC; ``error`` is the trace of an exception, where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
