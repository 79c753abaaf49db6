"""Metrics and health over HTTP: ``/metrics``, ``/healthz``, ``/readyz``."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, ClassVar
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from flowise_telemetry_consumer.clock import Clock, SystemClock
from flowise_telemetry_consumer.monitoring.counters import ConsumerCounters
from flowise_telemetry_consumer.monitoring.health import why_not_alive, why_not_ready
from flowise_telemetry_consumer.monitoring.metrics import registry_of
from flowise_telemetry_schemas import ConfigurationError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["parse_http_address", "status_server"]

logger = logging.getLogger("flowise_telemetry.consumer")

_REQUEST_SECONDS = 5.0


def parse_http_address(text: str) -> tuple[str, int]:
    """Return host and port of ``host:port``. Raises ``ConfigurationError``."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise ConfigurationError(f"HTTP address {text!r}: write host:port, such as 127.0.0.1:9464")
    return host, int(port)


@contextmanager
def status_server(address: str, counters: ConsumerCounters, *, clock: Clock | None = None) -> Iterator[str]:
    """Serve on ``address`` (``host:port``; port 0 for any free one) inside the context; yield the server's URL.

    Raises ``ConfigurationError`` if the address cannot be bound, ``MissingExtraError`` without prometheus-client.
    """
    host, port = parse_http_address(address)
    app = _application(counters, clock or SystemClock())

    class Server(_Server):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    try:
        server = Server((host, port), _Handler)
    except OSError as error:
        raise ConfigurationError(f"HTTP address {address}: {error.strerror or error}") from error
    server.set_app(app)
    thread = threading.Thread(target=server.serve_forever, name="flowise-telemetry-status", daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _application(counters: ConsumerCounters, clock: Clock) -> WSGIApplication:
    registry = registry_of(counters, clock)
    from prometheus_client import make_wsgi_app

    metrics: WSGIApplication = make_wsgi_app(registry)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        match environ["REQUEST_METHOD"], environ["PATH_INFO"]:
            case _, "/metrics":
                return metrics(environ, start_response)
            case "GET", "/healthz":
                why_not = why_not_alive(counters, clock)
            case "GET", "/readyz":
                why_not = why_not_ready(counters, clock)
            case _, "/healthz" | "/readyz":
                return _text(start_response, "405 Method Not Allowed", "only GET is answered")
            case _:
                return _text(start_response, "404 Not Found", "there are /metrics, /healthz and /readyz")
        return _text(start_response, "503 Service Unavailable" if why_not else "200 OK", why_not or "ok")

    return app


def _text(start_response: StartResponse, status: str, line: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{line}\n".encode()]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Log at DEBUG that a client hung up or was too slow. Exceptions of the application never get here."""
        logger.debug("HTTP request from %s failed", client_address, exc_info=True)


class _Handler(WSGIRequestHandler):
    timeout: ClassVar[float] = _REQUEST_SECONDS
    server_version = "flowise-telemetry"
    sys_version = ""

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: probes come every few seconds."""
