"""kafka-python 3: ends of partitions are told for the consumer's isolation level alone.

``end_offsets`` of a consumer that reads committed records ends before the first open transaction, and no public method
tells the offset behind it. kafka-python-ng reads uncommitted always, and needs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["reading_uncommitted"]

_READ_UNCOMMITTED = 0


@contextmanager
def reading_uncommitted(consumer: Any) -> Iterator[None]:
    """Make look-ups inside the context those of a consumer that reads uncommitted records; no poll may run in it."""
    fetcher = consumer._fetcher
    level = getattr(fetcher, "_isolation_level", None)
    if level is None:
        yield
        return
    fetcher._isolation_level = type(level)(_READ_UNCOMMITTED)
    try:
        yield
    finally:
        fetcher._isolation_level = level
