"""A bound for calls of librdkafka that have none."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["within"]


def within(seconds: float, work: Callable[[], object]) -> bool:
    """Whether ``work`` was done in time; else it goes on in its thread, which does not keep the process alive."""
    thread = threading.Thread(target=work, name="flowise-telemetry-reader", daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()
