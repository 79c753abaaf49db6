"""The client's own deadline: a server that stands still enforces none of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flowise_telemetry_consumer.errors import SinkUnavailableError

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["cut_after"]


@contextlib.contextmanager
def cut_after(connection: Connection[Any], seconds: float, shown: str) -> Iterator[None]:
    """Cut a connection that is not done within the time, and raise ``SinkUnavailableError`` then.

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
        except psycopg.Error as error:
            if was_cut.is_set():
                raise SinkUnavailableError(f"{shown} has not answered for {seconds:g} s") from error
            raise
        finally:
            timer.cancel()
