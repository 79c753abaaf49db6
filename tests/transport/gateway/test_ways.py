"""TLS and proxies on the way to a gateway."""

from __future__ import annotations

import base64
import contextlib
import gc
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowise_telemetry_schemas.errors import ConfigurationError
from flowise_telemetry_transport.errors import (
    CertificateExpiredError,
    CertificateHostError,
    TransportError,
    UnknownAuthorityError,
    UnreachableError,
)
from flowise_telemetry_transport.gateway import open_gateway_writer
from flowise_telemetry_transport.gateway.check import why_unusable
from flowise_telemetry_transport.gateway.proxies import parse_proxy, proxy_of
from flowise_telemetry_transport.gateway.settings import GatewaySettings
from tests.services.certificates import Authority
from tests.transport.backends import InFlight
from tests.transport.gateway.server import KEY, GatewayServer, serving
from tests.transport.gateway.test_faults import records, sent


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certificates(authority: Authority) -> dict[str, Path]:
    other = Authority(authority.folder / "other", name="somebody else")
    return {
        "good": authority.issue("good"),
        "expired": authority.issue("expired", days=-1),
        "another host's": authority.issue("elsewhere", host="elsewhere.example.org"),
        "another authority's": other.issue("other"),
    }


@contextlib.contextmanager
def secure(certificate: Path) -> Iterator[GatewayServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(GatewayServer(), context) as gateway:
        yield gateway


def delivered(settings: GatewaySettings) -> InFlight:
    writer = open_gateway_writer(settings)
    try:
        return sent(writer, records(3))
    finally:
        writer.close(timeout_seconds=0)


def test_a_certificate_of_an_authority_that_is_named_is_taken(
    authority: Authority, certificates: dict[str, Path]
) -> None:
    with secure(certificates["good"]) as gateway:
        environ = {
            "FLOWISE_TELEMETRY_ENDPOINT": gateway.url,
            "FLOWISE_TELEMETRY_PROJECT_KEY": KEY,
            "FLOWISE_TELEMETRY_KAFKA_SSL_CAFILE": str(authority.file),
        }
        assert len(delivered(GatewaySettings.from_env(environ)).accepted) == 3
        assert why_unusable(GatewaySettings.from_env(environ)) is None


@pytest.mark.parametrize(
    ("which", "kind"),
    [
        ("expired", CertificateExpiredError),
        ("another host's", CertificateHostError),
        ("another authority's", UnknownAuthorityError),
    ],
)
def test_a_certificate_that_is_not_to_be_trusted_says_why_and_gets_no_key(
    authority: Authority, certificates: dict[str, Path], which: str, kind: type[TransportError]
) -> None:
    with secure(certificates[which]) as gateway:
        settings = GatewaySettings(endpoint=gateway.url, project_key=KEY, tls={"ssl_cafile": str(authority.file)})
        assert [type(error) for error in delivered(settings).failed] == [kind] * 3
        assert type(why_unusable(settings)) is kind
        assert gateway.requests == []


def test_a_file_of_tls_that_cannot_be_used_is_named() -> None:
    settings = GatewaySettings(endpoint="https://e", project_key=KEY, tls={"ssl_cafile": "/no/such/file"})
    with pytest.raises(ConfigurationError, match="/no/such/file"):
        open_gateway_writer(settings)
    assert "/no/such/file" in str(why_unusable(settings))


# -- proxies ----------------------------------------------------------------------------------------------------


class Proxy:
    """An HTTP proxy that knows CONNECT and absolute addresses; ``login`` is what it asks for."""

    def __init__(self, login: str | None = None) -> None:
        self.login = login
        self.asked: list[str] = []
        self._opened: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._opened.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(65536)
        text = head.decode("latin-1")
        verb, address = text.split()[:2]
        self.asked.append(f"{verb} {address}")
        if self.login is not None and f"Proxy-Authorization: Basic {self.login}" not in text:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            client.shutdown(socket.SHUT_RDWR)
            return
        host, _, port = address.removeprefix("http://").partition("/")[0].rpartition(":")
        server = socket.create_connection((host, int(port)))
        self._opened.append(server)
        if verb == "CONNECT":
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            server.sendall(head.replace(f"http://{host}:{port}".encode(), b"", 1))
        threading.Thread(target=self._pass, args=(server, client), daemon=True).start()
        self._pass(client, server)

    @staticmethod
    def _pass(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := one.recv(65536):
                other.sendall(part)
            other.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for one in (self._listener, *self._opened):
            one.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    opened = Proxy()
    yield opened
    opened.close()


LOGIN = base64.b64encode(b"user:p@ss word").decode()


def test_tls_goes_through_a_proxy_with_a_login(
    authority: Authority, certificates: dict[str, Path], proxy: Proxy
) -> None:
    proxy.login = LOGIN
    with secure(certificates["good"]) as gateway:
        settings = GatewaySettings(
            endpoint=gateway.url,
            project_key=KEY,
            tls={"ssl_cafile": str(authority.file)},
            proxy=f"http://user:p%40ss%20word@{proxy.address}",
        )
        assert len(delivered(settings).accepted) == 3
    assert proxy.asked == [f"CONNECT {gateway.url.removeprefix('https://')}"]
    gc.collect()  # warns of a socket that was left open, which is an error here


def test_a_plain_endpoint_goes_through_a_proxy(proxy: Proxy) -> None:
    with serving(GatewayServer()) as gateway:
        settings = GatewaySettings(endpoint=gateway.url, project_key=KEY, proxy=proxy.address)
        assert len(delivered(settings).accepted) == 3
    assert proxy.asked == [f"POST {gateway.url}/v1/records"]


def test_a_proxy_that_refuses_is_named_without_its_password(certificates: dict[str, Path], proxy: Proxy) -> None:
    proxy.login = LOGIN
    settings = GatewaySettings(
        endpoint="https://gateway.example.org", project_key=KEY, proxy=f"http://user:wrong-one@{proxy.address}"
    )
    failed = delivered(settings).failed[0]
    assert (type(failed), failed.retryable) == (UnreachableError, True)
    assert proxy.address in failed.message
    assert "407" in failed.message
    assert "wrong-one" not in failed.message + repr(settings)
    del failed  # it has the frames of the connection
    gc.collect()  # warns of a socket that was left open, which is an error here


def test_a_proxy_that_is_none_is_refused_without_its_password() -> None:
    for text in ("socks5://user:hush@host:1080", "https://user:hush@host", "http://", "http://user:hush@host:port"):
        with pytest.raises(ConfigurationError) as caught:
            parse_proxy(text)
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, None),
        ({"https_proxy": "one", "HTTPS_PROXY": "two"}, "one"),
        ({"HTTPS_PROXY": "two", "ALL_PROXY": "all"}, "two"),
        ({"ALL_PROXY": "all"}, "all"),
        ({"http_proxy": "one", "HTTP_PROXY": "two"}, None),
        ({"https_proxy": "one", "no_proxy": "*"}, None),
        ({"https_proxy": "one", "NO_PROXY": "localhost, example.org"}, None),
        ({"https_proxy": "one", "no_proxy": ".example.org"}, None),
        ({"https_proxy": "one", "no_proxy": "*.example.org:443"}, None),
        ({"https_proxy": "one", "no_proxy": "example.org:8443"}, "one"),
        ({"https_proxy": "one", "no_proxy": "ample.org,,t.example.org.evil"}, "one"),
    ],
)
def test_the_environment_names_the_proxy(environ: dict[str, str], found: str | None) -> None:
    assert proxy_of(True, "t.example.org", 443, environ) == found


def test_addresses_loopback_and_programs_of_a_web_server_are_told_apart() -> None:
    environ = {"HTTP_PROXY": "one", "HTTPS_PROXY": "one", "NO_PROXY": "10.0.0.0/8,fd00::/8"}
    assert proxy_of(True, "10.1.2.3", 443, environ) is None
    assert proxy_of(True, "fd00::1", 443, environ) is None
    assert proxy_of(True, "11.1.2.3", 443, environ) == "one"
    for host in ("localhost", "127.0.0.2", "::1"):
        assert proxy_of(True, host, 443, environ) is None
    assert proxy_of(False, "t.example.org", 80, environ) == "one"
    assert proxy_of(False, "t.example.org", 80, {**environ, "REQUEST_METHOD": "POST"}) is None  # httpoxy.org
