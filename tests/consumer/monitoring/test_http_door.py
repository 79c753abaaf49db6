"""The status port towards clients that are slow, many, strangers or eavesdroppers."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowise_telemetry_consumer import ConsumerCounters
from flowise_telemetry_consumer.monitoring import connections
from flowise_telemetry_consumer.monitoring.http import Door, status_server
from flowise_telemetry_schemas import ConfigurationError
from tests.consumer.service.running import wait_until
from tests.services.certificates import Authority

pytestmark = pytest.mark.slow

TOKEN = "sixteen characters at least"


def get(address: str, path: str, *, token: str | None = None, context: ssl.SSLContext | None = None) -> tuple[int, str]:
    host = address.partition("//")[2]
    connection = (
        http.client.HTTPSConnection(host, timeout=5, context=context)
        if context
        else http.client.HTTPConnection(host, timeout=5)
    )
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def connected(address: str) -> socket.socket:
    host, port = address.partition("//")[2].split(":")
    return socket.create_connection((host, int(port)), timeout=5)


@contextlib.contextmanager
def many(address: str, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connected(address)) for _ in range(count)]


def test_a_probe_is_answered_however_many_clients_wait() -> None:
    counters = ConsumerCounters(polled_at=time.monotonic())
    with status_server("127.0.0.1:0", counters) as address, many(address, 3 * connections.MAX_CONNECTIONS) as clients:
        for client in clients:
            with contextlib.suppress(OSError):  # the oldest are closed
                client.sendall(b"GET /metrics HTTP/1.0\r\n")
        assert get(address, "/healthz") == (200, "ok\n")
        closed = clients[0].recv(1) == b""
    assert closed


@pytest.mark.parametrize("says", [b"", b"GET /heal", b"GET /healthz HTTP/1.0\r\nX: "])
def test_a_slow_client_has_a_time_for_everything(monkeypatch: pytest.MonkeyPatch, says: bytes) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.3)
    with status_server("127.0.0.1:0", ConsumerCounters(polled_at=time.monotonic())) as address:
        with connected(address) as client:
            client.sendall(says)
            ended: list[bool] = []

            def drip() -> bool:
                try:
                    client.sendall(b"x")
                    client.settimeout(0.05)
                    ended.append(client.recv(1) == b"")
                except TimeoutError:
                    return False
                except OSError:
                    return True
                return ended[-1]

            wait_until(drip, "a byte at a time buys no more time")
        assert get(address, "/healthz")[0] == 200


def test_a_connection_that_is_reset_leaves_no_trace(capfd: pytest.CaptureFixture[str]) -> None:
    with status_server("127.0.0.1:0", ConsumerCounters()) as address:
        for _ in range(5):
            client = connected(address)
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        assert get(address, "/metrics")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_token_guards_metrics_and_reasons(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    with status_server("127.0.0.1:0", ConsumerCounters(), door=Door(token_file=file)) as address:
        assert get(address, "/metrics")[0] == 401
        assert get(address, "/metrics", token="sixteen characters at most")[0] == 401
        assert get(address, "/metrics", token=TOKEN)[0] == 200
        assert get(address, "/readyz") == (503, "not ok\n")
        assert "last poll" in get(address, "/readyz", token=TOKEN)[1]


def test_tls_and_clients_that_do_not_speak_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.5)
    authority = Authority(tmp_path)
    door = Door(tls=authority.issue("status"))
    context = ssl.create_default_context(cafile=str(authority.file))
    with status_server("127.0.0.1:0", ConsumerCounters(polled_at=time.monotonic()), door=door) as address:
        assert address.startswith("https://")
        with connected(address) as silent, connected(address) as plain:
            plain.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert get(address, "/healthz", context=context) == (200, "ok\n")
            assert b"ok" not in plain.recv(100)
            assert silent.recv(1) == b""
        with pytest.raises(ssl.SSLCertVerificationError):
            get(address, "/healthz", context=ssl.create_default_context())


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"short"])
@pytest.mark.parametrize("field", ["tls", "token_file"])
def test_a_file_that_does_not_do_is_named(field: str, content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    if field == "token_file" and content == b"no certificate":
        content = b""
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"file") as raised:
        Door(**{field: file})
    assert raised.value.argument == ("http_tls" if field == "tls" else "http_token_file")


def test_a_key_with_a_passphrase_asks_nobody(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="without a passphrase"):
        Door(tls=Authority(tmp_path).issue("status", passphrase="hush"))
