"""Log lines of a service on stderr: text for people, or one JSON object a line for programs."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TextIO

from flowise_telemetry_schemas.printable import printable, printable_lines

__all__ = ["LOG_FORMATS", "LOG_LEVELS", "LogFormat", "formatter_of", "log_now_and_then", "start_logging"]

LogFormat = Literal["text", "json"]
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS: tuple[LogFormat, ...] = ("text", "json")

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


logger = logging.getLogger("flowise_telemetry.log")


def start_logging(log_format: LogFormat, level: str = "info") -> None:
    """Send log records of the program and its libraries, from this level on, to stderr.

    Warnings, and errors that end a thread, become log records too: Python would print their texts, values included.
    """
    handler = _StderrHandler()
    handler.setFormatter(formatter_of(log_format))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    warnings.showwarning = _log_warning
    # Only in place of Python's own, which print.
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = lambda raised: _log_error(raised.exc_value, "ended a thread")
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = lambda raised: _log_error(raised.exc_value, "could not be raised")


def _log_warning(  # noqa: PLR0917 - as Python calls it
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    logger.warning("%s at %s:%d", category.__name__, Path(filename).name, lineno)


def _log_error(error: BaseException | None, what: str) -> None:
    if error is None or isinstance(error, SystemExit):
        return
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" at {Path(last[0].filename).name}:{last[0].lineno}" if last else ""
    logger.error("%s%s %s", type(error).__name__, where, what)


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
