"""What a commit means on this server: on its disk, or only in its memory."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

__all__ = ["SERVER_SETTINGS", "flush_commit", "unsafe_server", "warn_of_unsafe_server"]

logger = logging.getLogger("flowise_telemetry.consumer")

SERVER_SETTINGS = ("fsync", "full_page_writes")
"""With either off, a crash may lose or damage what is committed (PostgreSQL documentation, "Write Ahead Log")."""


def flush_commit(connection: Connection[Any]) -> None:
    """Make the commit of this transaction wait for the disk, also where database or role say otherwise.

    The offsets are committed to Kafka next, and nobody would send the events again. Any other value than off waits for
    the disk at least, so it stays.
    """
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
    )


def warn_of_unsafe_server(connection: Connection[Any], shown: str, settings: Sequence[str] = SERVER_SETTINGS) -> None:
    """Warn where one of the settings is off and the server may lose what is committed; no session can change that."""
    unsafe = unsafe_server(connection, shown, settings)
    if unsafe is not None:
        logger.warning("%s", unsafe)


def unsafe_server(connection: Connection[Any], shown: str, settings: Sequence[str] = SERVER_SETTINGS) -> str | None:
    """Return which of the settings are off, and what that means; None if all are on."""
    off = [
        name
        for (name,) in connection.execute(
            "SELECT name FROM pg_settings WHERE name = ANY(%s) AND setting = 'off' ORDER BY name",
            (list(settings),),
        )
    ]
    if not off:
        return None
    return (
        f"{shown} runs with {'=off and '.join(off)}=off: a crash of its machine may lose events that are reported as"
        " written; switch it on"
    )
