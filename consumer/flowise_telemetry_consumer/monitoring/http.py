"""Metrics and health over HTTP: ``/metrics``, ``/healthz``, ``/readyz``."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from flowise_telemetry_consumer.clock import Clock, SystemClock
from flowise_telemetry_consumer.monitoring.counters import Progress
from flowise_telemetry_consumer.monitoring.health import why_not_alive, why_not_ready
from flowise_telemetry_consumer.monitoring.metrics import exposition, registry_of
from flowise_telemetry_schemas import ConfigurationError

__all__ = ["parse_http_address", "status_server"]

_REQUEST_SECONDS = 5.0
_TEXT = "text/plain; charset=utf-8"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


def parse_http_address(text: str) -> tuple[str, int]:
    """Host and port of ``host:port``. Raises ``ConfigurationError``."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise ConfigurationError(f"HTTP address {text!r}: write host:port, such as 127.0.0.1:9464")
    return host, int(port)


@contextmanager
def status_server(address: str, progress: Progress, *, clock: Clock | None = None) -> Iterator[str]:
    """Serves on ``address`` (``host:port``; port 0: any free one) until the end; gives where.

    Raises ``ConfigurationError`` where that cannot be, ``MissingExtraError`` without prometheus-client.
    """
    host, port = parse_http_address(address)
    time = clock or SystemClock()
    registry = registry_of(progress, time)

    class Handler(_Handler):
        def answer(self) -> tuple[HTTPStatus, str, bytes]:
            match self.path.partition("?")[0]:
                case "/metrics":
                    return HTTPStatus.OK, _METRICS, exposition(registry)
                case "/healthz":
                    return _verdict(why_not_alive(progress, time))
                case "/readyz":
                    return _verdict(why_not_ready(progress, time))
                case _:
                    return HTTPStatus.NOT_FOUND, _TEXT, b"there are /metrics, /healthz and /readyz\n"

    class Server(_Server):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    try:
        server = Server((host, port), Handler)
    except OSError as error:
        raise ConfigurationError(f"HTTP address {address}: {error.strerror or error}") from error
    thread = threading.Thread(target=server.serve_forever, name="flowise-telemetry-status", daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _verdict(why_not: str | None) -> tuple[HTTPStatus, str, bytes]:
    if why_not is None:
        return HTTPStatus.OK, _TEXT, b"ok\n"
    return HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, f"{why_not}\n".encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


class _Handler(BaseHTTPRequestHandler):
    timeout: ClassVar[float] = _REQUEST_SECONDS
    server_version = "flowise-telemetry"
    sys_version = ""

    def answer(self) -> tuple[HTTPStatus, str, bytes]:
        """Status, content type and body for ``self.path``."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answers."""
        status, content_type, body = self.answer()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: a probe every few seconds is no news."""
