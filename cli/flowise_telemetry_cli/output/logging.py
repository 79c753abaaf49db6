"""Log lines of a service on stderr: text for people, or one JSON object a line for programs."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal, TextIO

from flowise_telemetry_schemas.printable import printable, printable_lines

__all__ = ["LOG_FORMATS", "LogFormat", "formatter_of", "log_now_and_then", "start_logging"]

LogFormat = Literal["text", "json"]
LOG_FORMATS: tuple[LogFormat, ...] = ("text", "json")

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def start_logging(log_format: LogFormat) -> None:
    """Send log records of the program and its libraries, from INFO on, to stderr."""
    handler = _StderrHandler()
    handler.setFormatter(formatter_of(log_format))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def formatter_of(log_format: LogFormat) -> logging.Formatter:
    """Return the formatter of a line; what a record took from elsewhere cannot control a terminal."""
    return _JsonFormatter() if log_format == "json" else _TextFormatter(_TEXT)


def log_now_and_then(logger: logging.Logger, *, every_seconds: float = 10.0) -> Callable[[str], None]:
    """Return a function that logs a text at most every ``every_seconds``: the progress display of a log."""
    shown_at = time.monotonic()

    def show(text: str) -> None:
        nonlocal shown_at
        now = time.monotonic()
        if now - shown_at >= every_seconds:
            shown_at = now
            logger.info("%s", text)

    return show


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to the current ``sys.stderr``, which a progress display replaces to draw below the lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record."""
        self.stream = sys.stderr
        super().emit(record)


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))


class _JsonFormatter(logging.Formatter):
    """``time`` is RFC 3339 in UTC; ``error`` is the traceback of an exception, if there is one."""

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
        return printable(json.dumps(line, ensure_ascii=False))
