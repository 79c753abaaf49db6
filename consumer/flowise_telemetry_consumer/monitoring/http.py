"""Metrics and health over HTTP or HTTPS: ``/metrics``, ``/healthz``, ``/readyz``."""

from __future__ import annotations

import hmac
import logging
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flowise_telemetry_consumer.clock import Clock, SystemClock
from flowise_telemetry_consumer.monitoring.connections import StatusServer
from flowise_telemetry_consumer.monitoring.counters import ConsumerCounters
from flowise_telemetry_consumer.monitoring.health import why_not_alive, why_not_ready
from flowise_telemetry_consumer.monitoring.metrics import registry_of
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport.http_serving import parse_http_address, read_token

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Door", "parse_address", "status_server"]

logger = logging.getLogger("flowise_telemetry.consumer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Who is let in: over TLS with a certificate, and with a token.

    ``tls`` is a PEM file with the certificate's chain and its key. ``token_file`` holds what a client has to send as
    ``Authorization: Bearer <token>`` to be served metrics, and the reason of a 503; probes without it get the status.
    Both files are read when the server starts. Raises ``ConfigurationError`` that names the file.
    """

    tls: Path | None = None
    token_file: Path | None = None
    context: ssl.SSLContext | None = field(init=False, default=None, repr=False)
    token: bytes | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        if self.tls is not None:
            object.__setattr__(self, "context", _context_of(self.tls))
        if self.token_file is not None:
            object.__setattr__(self, "token", read_token(self.token_file, argument="http_token_file"))

    def admits(self, authorization: str) -> bool:
        """Return True for a request that may be told everything."""
        if self.token is None:
            return True
        kind, _, given = authorization.partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1", "replace"), self.token)


def _context_of(file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A passphrase would be asked for on the terminal.
        context.load_cert_chain(file, password=lambda: "")
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or "it cannot be used"
        raise ConfigurationError(
            f"{file}: {why}: name a PEM file with the certificate's chain and its key, without a passphrase",
            argument="http_tls",
        ) from None
    return context


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ``host:port``. Raises ``ConfigurationError``."""
    return parse_http_address(text, example="127.0.0.1:9464")


@contextmanager
def status_server(
    address: str, counters: ConsumerCounters, *, clock: Clock | None = None, door: Door | None = None
) -> Iterator[str]:
    """Serve on ``address`` (``host:port``; port 0 for any free one) inside the context; yield the server's URL.

    Raises ``ConfigurationError`` if the address cannot be bound, ``MissingExtraError`` without prometheus-client.
    """
    host, port = parse_address(address)
    door = door or Door()
    app = _application(counters, clock or SystemClock(), door)

    class Server(StatusServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    try:
        server = Server((host, port), context=door.context)
    except OSError as error:
        raise ConfigurationError(f"HTTP address {address}: {error.strerror or error}") from error
    server.set_app(app)
    thread = threading.Thread(target=server.serve_forever, name="flowise-telemetry-status", daemon=True)
    thread.start()
    try:
        yield f"http{'s' if door.context else ''}://{host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _application(counters: ConsumerCounters, clock: Clock, door: Door) -> WSGIApplication:
    registry = registry_of(counters, clock)
    from prometheus_client import make_wsgi_app

    metrics: WSGIApplication = make_wsgi_app(registry)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        admitted = door.admits(environ.get("HTTP_AUTHORIZATION", ""))
        match environ["REQUEST_METHOD"], environ["PATH_INFO"]:
            case _, "/metrics":
                if not admitted:
                    return _refusal(start_response)
                return metrics(environ, start_response)
            case "GET", "/healthz":
                why_not = why_not_alive(counters, clock)
            case "GET", "/readyz":
                counters.watched = True  # or a partition that has no leader would be noticed by nobody
                why_not = why_not_ready(counters, clock)
            case _, "/healthz" | "/readyz":
                return _text(start_response, "405 Method Not Allowed", "only GET is answered")
            case _:
                return _text(start_response, "404 Not Found", "there are /metrics, /healthz and /readyz")
        if why_not is None:
            return _text(start_response, "200 OK", "ok")
        return _text(start_response, "503 Service Unavailable", why_not if admitted else "not ok")

    return app


def _refusal(start_response: StartResponse) -> Iterable[bytes]:
    start_response("401 Unauthorized", [("Content-Type", "text/plain; charset=utf-8"), ("WWW-Authenticate", "Bearer")])
    return [b"send the token of --http-token-file as Authorization: Bearer\n"]


def _text(start_response: StartResponse, status: str, line: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{line}\n".encode()]
