"""One connection to a gateway, kept alive; by the standard library's HTTP client."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
import time
import weakref
from typing import Any

from flowise_telemetry_transport.errors import (
    CertificateExpiredError,
    CertificateHostError,
    ClientCertificateError,
    DeliveryTimeoutError,
    TlsError,
    TlsUnexpectedError,
    TransportError,
    UnknownAuthorityError,
    UnknownHostError,
    UnreachableError,
)
from flowise_telemetry_transport.gateway.proxies import Proxy, parse_proxy
from flowise_telemetry_transport.gateway.settings import GatewaySettings
from flowise_telemetry_transport.gateway.verdict import Response
from flowise_telemetry_transport.gateway.wire import CONTENT_TYPE, RECORDS_PATH
from flowise_telemetry_transport.tls import client_context

__all__ = ["Connection"]

_MAX_ANSWER_BYTES = 4 * 1_048_576
# X509_V_ERR_* of OpenSSL's x509_vfy.h
_EXPIRED = {9, 10}
_OTHER_HOST = {62, 64}

_FORK_WAIT_SECONDS = 1.0
_FORK_LOOK_SECONDS = 0.002

_open: weakref.WeakSet[Connection] = weakref.WeakSet()
_connecting: set[Connection] = set()


class Connection:
    """Posts batches, one at a time, on one thread at a time; any thread may ``abort``.

    Imports and checks what it needs when it is made; connects at the first ``post``. A child of a fork has no part in
    its socket. Raises ``ConfigurationError``.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._proxy: Proxy | None = None if settings.proxy is None else parse_proxy(settings.proxy)
        self._context = client_context(settings.tls_settings()) if settings.is_secure else None
        "localhost".encode("idna")  # imports what the first look-up would
        self._http: http.client.HTTPConnection | None = None
        self._aborted = False
        _open.add(self)

    def post(self, body: bytes, *, is_gzip: bool, key: str) -> Response:
        """Return the answer, whatever its status.

        Connects anew, once, where the gateway has closed a connection that was kept. Raises ``TransportError`` if there
        is no answer: ``DeliveryTimeoutError`` if the request may have reached the gateway.
        """
        headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": CONTENT_TYPE,
            "Accept": "application/json",
            "User-Agent": "flowise-telemetry",
        }
        if is_gzip:
            headers["Content-Encoding"] = "gzip"
        self._aborted = False
        was_kept = self._http is not None
        try:
            return self._exchange(body, headers)
        except (http.client.RemoteDisconnected, ConnectionError) as error:
            self.close()
            if not was_kept or self._aborted:
                raise self._lost(error) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise self._lost(error) from error
        try:
            return self._exchange(body, headers)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise self._lost(error) from error

    def get(self, path: str) -> Response:
        """Return the answer to a GET of a path of the gateway, whatever its status. Raises as ``post``."""
        self._aborted = False
        try:
            return self._exchange(None, {"User-Agent": "flowise-telemetry"}, "GET", path)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise self._lost(error) from error

    @property
    def secured(self) -> ssl.SSLSocket | None:
        """The connection that is kept, if it is TLS."""
        sock = None if self._http is None else self._http.sock
        return sock if isinstance(sock, ssl.SSLSocket) else None

    def _exchange(
        self, body: bytes | None, headers: dict[str, str], method: str = "POST", path: str = RECORDS_PATH
    ) -> Response:
        connection = self._connected()
        target = self._settings.path + path
        if self._proxy is not None and not self._settings.is_secure:
            target = self._settings.endpoint.rstrip("/") + path
            headers = {**headers, **self._proxy.headers}
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        content = answer.read(_MAX_ANSWER_BYTES)
        if not answer.isclosed() or answer.will_close:
            self.close()
        return Response(answer.status, {name.lower(): text for name, text in answer.getheaders()}, content)

    def _connected(self) -> http.client.HTTPConnection:
        if self._http is not None:
            return self._http
        settings, proxy = self._settings, self._proxy
        host, port = (settings.host, settings.port) if proxy is None else (proxy.host, proxy.port)
        connection: http.client.HTTPConnection
        said: list[http.client.HTTPResponse] = []
        if self._context is not None:
            connection = http.client.HTTPSConnection(
                host, port, timeout=settings.connect_timeout_seconds, context=self._context
            )
            if proxy is not None:
                connection.set_tunnel(settings.host, settings.port, proxy.headers)
                connection.response_class = _kept_in(said)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=settings.connect_timeout_seconds)
        _connecting.add(self)
        try:
            connection.connect()
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a host that is no name
            connection.close()
            raise self._not_connected(error) from error
        finally:
            _connecting.discard(self)
            for answer in said:  # Python 3.11.2 leaves a proxy's open, and with it the socket
                answer.close()
        connection.response_class = http.client.HTTPResponse
        connection.sock.settimeout(settings.request_timeout_seconds)
        self._http = connection
        return connection

    def _not_connected(self, error: Exception) -> TransportError:
        """Return why there is no connection."""
        shown = self._settings.shown
        by_proxy = "" if self._proxy is None else f" through the proxy {self._proxy.host}:{self._proxy.port}"
        if isinstance(error, ssl.SSLError):
            return _tls_error(error, self._settings)
        if isinstance(error, socket.gaierror | ValueError):
            host = self._settings.host if self._proxy is None else f"{self._proxy.host} (the proxy)"
            return UnknownHostError(f"no host {host} is known here: check endpoint (ENDPOINT) and the DNS")
        if isinstance(error, TimeoutError):
            return UnreachableError(f"{shown} does not answer{by_proxy}: check address, proxy and firewall")
        # http.client raises a plain OSError with its own text for what a proxy says to CONNECT.
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error) or "no answer"
        return UnreachableError(f"{shown} cannot be reached{by_proxy}: {why}")

    def _lost(self, error: Exception) -> TransportError:
        """Return the error of a request that has no answer."""
        if isinstance(error, TransportError):
            return error
        if isinstance(error, TimeoutError):
            seconds = f"{self._settings.request_timeout_seconds:g} s"
            return DeliveryTimeoutError(f"{self._settings.shown} gave no answer within {seconds}; sent again")
        if isinstance(error, ssl.SSLError):
            return _tls_error(error, self._settings)
        return DeliveryTimeoutError(
            f"{self._settings.shown} closed the connection before its answer, or answered what is no HTTP"
            f" ({type(error).__name__}); sent again"
        )

    def abort(self) -> None:
        """End a ``post`` that waits on another thread: it raises."""
        self._aborted = True
        with contextlib.suppress(Exception):  # there is none, or it has just ended
            self._http.sock.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]  # suppressed as well

    def close(self) -> None:
        """Disconnect; a later ``post`` connects again."""
        connection, self._http = self._http, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def leave_to_parent(self) -> None:
        """Give up the socket in the child of a fork: close its number there, and free nothing of TLS."""
        connection, self._http = self._http, None
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(Exception):
                os.close(connection.sock.detach())


def _kept_in(answers: list[http.client.HTTPResponse]) -> type[http.client.HTTPResponse]:
    """Return a class whose objects are in the list once they are made."""

    class Answer(http.client.HTTPResponse):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            answers.append(self)

    return Answer


def _tls_error(error: ssl.SSLError, settings: GatewaySettings) -> TransportError:
    shown, reason = settings.shown, error.reason or "no reason given"
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _EXPIRED:
            return CertificateExpiredError(f"{shown}: the certificate is out of date, or this machine's clock is wrong")
        if error.verify_code in _OTHER_HOST:
            return CertificateHostError(f"{shown}: the certificate is for another host: check endpoint (ENDPOINT)")
        return UnknownAuthorityError(
            f"{shown}: the certificate is of an authority that is not trusted here ({error.verify_message}): name its"
            " file as ssl_cafile (KAFKA_SSL_CAFILE)"
        )
    if "WRONG_VERSION" in reason or "HTTP_REQUEST" in reason:
        return TlsUnexpectedError(f"{shown} does not speak TLS on this port: check endpoint (ENDPOINT)")
    if "CERTIFICATE" in reason:
        return ClientCertificateError(
            f"{shown} asks for a certificate, or does not take this one ({reason}): check ssl_certfile and ssl_keyfile"
        )
    return TlsError(f"{shown}: no secure connection ({reason})")


def _wait_for_look_ups() -> None:
    """Let a fork wait, a second at most: glibc's ``getaddrinfo`` holds a lock, which the child would inherit locked."""
    end = time.monotonic() + _FORK_WAIT_SECONDS
    while _connecting and time.monotonic() < end:
        time.sleep(_FORK_LOOK_SECONDS)


def _leave_to_parent() -> None:
    _connecting.clear()
    for connection in list(_open):
        connection.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wait_for_look_ups, after_in_child=_leave_to_parent)
