"""The server behind the status port: a bounded number of connections, each for a bounded time."""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import ssl
import sys
import threading
import time
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from typing import IO, Any, ClassVar, cast
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

__all__ = ["MAX_CONNECTIONS", "REQUEST_SECONDS", "StatusServer"]

logger = logging.getLogger("flowise_telemetry.consumer")

MAX_CONNECTIONS = 16
"""Open at once; one more closes the oldest, so that a probe is always answered."""
REQUEST_SECONDS = 10.0
"""From the connection to its end, whatever the client does: reading or writing a byte at a time buys no more."""


class StatusServer(ThreadingMixIn, WSGIServer):
    """An HTTP server, or HTTPS with a ``context``; the handshake belongs to the connection's own thread and time."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 4 * MAX_CONNECTIONS  # a probe that finds it full would come again after a second

    def __init__(self, address: tuple[str, int], *, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._open: dict[int, _Connection] = {}  # oldest first
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection on a thread of its own."""
        with self._lock:
            while len(self._open) >= MAX_CONNECTIONS:
                self._open.pop(next(iter(self._open))).hang_up()
            self._open[id(request)] = _Connection(request, time.monotonic() + REQUEST_SECONDS)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Shake hands, answer, and close."""
        key = id(request)
        try:
            if self._context is not None:
                request.settimeout(REQUEST_SECONDS)
                request = self._context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
                with self._lock:
                    if key in self._open:
                        self._open[key].socket = request  # which has taken the descriptor over
                request.do_handshake()
            self.finish_request(request, client_address)
        except Exception:
            self.handle_error(request, client_address)
        finally:
            with self._lock:
                self._open.pop(key, None)
            self.shutdown_request(request)

    def service_actions(self) -> None:
        """Hang up on those whose time is over; ``serve_forever`` calls this twice a second."""
        now = time.monotonic()
        with self._lock:
            for key in [key for key, each in self._open.items() if each.until <= now]:
                self._open.pop(key).hang_up()

    def handle_error(self, request: object, client_address: object) -> None:
        """Log at DEBUG that a client hung up or was too slow. Exceptions of the application never get here."""
        logger.debug("HTTP request from %s failed: %r", client_address, sys.exception())


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    until: float

    def hang_up(self) -> None:
        """End it under its thread, which then closes it."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)  # TLS's own would wait


class _Answer(ServerHandler):
    """Answers of the application; what goes wrong is a log line, never a trace on stderr."""

    def log_exception(self, exc_info: Any) -> None:
        """Log what the application raised."""
        level = logging.DEBUG if isinstance(exc_info[1], OSError) else logging.WARNING
        logger.log(level, "HTTP answer failed: %r", exc_info[1])


class _Handler(WSGIRequestHandler):
    timeout: ClassVar[float] = REQUEST_SECONDS
    server_version = "flowise-telemetry"
    sys_version = ""

    def handle(self) -> None:
        """Answer one request; as the class above does, but with an ``_Answer``."""
        self.raw_requestline = self.rfile.readline(65_537)
        if len(self.raw_requestline) > 65_536:
            self.requestline = self.request_version = self.command = ""
            self.send_error(414)
            return
        if not self.parse_request():
            return
        read, write = cast("IO[bytes]", self.rfile), cast("IO[bytes]", self.wfile)
        handler = _Answer(read, write, io.StringIO(), self.get_environ(), multithread=False)
        handler.request_handler = self  # type: ignore[attr-defined]  # as WSGIRequestHandler.handle does
        handler.run(self.server.get_app())  # type: ignore[attr-defined]  # it is a WSGIServer

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: probes come every few seconds."""
