"""How long a transaction may take: by the server's clock, and by ours where the server stands still."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flowise_telemetry_consumer.errors import SinkTooSlowError, SinkUnavailableError

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["cut_after", "limit_transaction"]


@contextlib.contextmanager
def cut_after(connection: Connection[Any], seconds: float, shown: str) -> Iterator[None]:
    """Cut a connection that is not done within the time, and raise ``SinkTooSlowError`` then.

    A server that was stopped, or whose storage hangs, keeps its connections: the kernel answers keepalives, and
    ``statement_timeout`` is the server's.
    """
    import psycopg

    was_cut = threading.Event()
    # A descriptor of our own: that of the connection may be another's by the time.
    with socket.socket(fileno=os.dup(connection.fileno())) as own:

        def cut() -> None:
            was_cut.set()
            with contextlib.suppress(OSError):
                own.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(seconds, cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (psycopg.Error, SinkUnavailableError) as error:
            if was_cut.is_set():
                raise SinkTooSlowError(f"{shown} has not answered for {seconds:g} s") from error
            raise
        finally:
            timer.cancel()


def limit_transaction(connection: Connection[Any], milliseconds: int) -> None:
    """Have the server end a statement of this transaction, or its silence, after this time."""
    # For this transaction, not for the session: behind a pooler the session is someone else's next. Without the second
    # limit, a writer stopped in the middle would block the next writer of the same events forever.
    connection.execute(
        "SELECT set_config('statement_timeout', %(ms)s, true), "
        "set_config('idle_in_transaction_session_timeout', %(ms)s, true)",
        {"ms": str(milliseconds)},
    )
