"""Changes to tables that others use: locked for a moment or not at all, so that nobody queues behind us."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flowise_telemetry_consumer.errors import SinkUnavailableError

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["LOCK_TIMEOUT_MS", "change_briefly"]

LOCK_TIMEOUT_MS = 500
"""Time limit of one attempt. It is below PostgreSQL's deadlock_timeout of one second, so that we give way and never a
reader that locks in another order; nobody waits behind us for longer than this."""

_PAUSE_SECONDS = 0.2


def change_briefly(
    connection: Connection[Any], change: Callable[[], object], *, shown: str, timeout_seconds: float, then: str
) -> None:
    """Run statements that lock tables; release what they have locked, and try again, if one is not free in time.

    Runs inside a transaction, whose limit on waiting for locks stays lowered. Raises ``SinkUnavailableError``, with
    ``then`` as what to do, once ``timeout_seconds`` are up.
    """
    from psycopg.errors import LockNotAvailable

    connection.execute("SELECT set_config('lock_timeout', %s, true)", (str(LOCK_TIMEOUT_MS),))
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            with connection.transaction():
                change()
        except LockNotAvailable as error:
            if time.monotonic() >= deadline:
                raise SinkUnavailableError(
                    f"{shown}: others have had the tables for {timeout_seconds:g} s; end their long queries, or {then}"
                ) from error
            time.sleep(_PAUSE_SECONDS)
        else:
            return
