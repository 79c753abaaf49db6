"""As much of a broker as a diagnosis asks: answers, logins, addresses and, if it is given some, topics. No Java."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.transport.small_topics import VERSIONS, SmallTopics

__all__ = ["SmallBroker", "small_brokers"]

_MAX_BYTES = 1_000_000


class SmallBroker:
    """Listens on a port of 127.0.0.1. ``users`` may log in with PLAIN; without any, the port takes no login.

    ``mechanism`` is the one that is offered; ``tokens`` are those that came by OAUTHBEARER, which are all rejected.
    Requests of the kind ``leaves_waiting`` (Kafka's API key) have no answer.
    """

    def __init__(
        self,
        *,
        certificate: Path | None = None,
        client_authority: Path | None = None,
        users: dict[str, str] | None = None,
        mechanism: str = "PLAIN",
        advertised: tuple[str, int] | None = None,
        topics: SmallTopics | None = None,
        leaves_waiting: int | None = None,
    ) -> None:
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
            if client_authority is not None:
                self._context.load_verify_locations(client_authority)
                self._context.verify_mode = ssl.CERT_REQUIRED
        self._users = users
        self._mechanism = mechanism
        self.accepted = 0
        self.tokens: list[str] = []
        self._topics = topics
        self._leaves_waiting = leaves_waiting
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._port = self._socket.getsockname()[1]
        self._advertised = advertised or ("127.0.0.1", self._port)
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def server(self) -> str:
        """``host:port``."""
        return f"127.0.0.1:{self._port}"

    def close(self) -> None:
        """Hears nobody any more."""
        self._socket.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.accepted += 1
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, struct.error), contextlib.ExitStack() as opened:
            connection.settimeout(5)
            opened.enter_context(connection)
            if self._context is not None:
                connection = opened.enter_context(self._context.wrap_socket(connection, server_side=True))
            logged_in = self._users is None
            for key, version, number, body in _requests(connection):
                if key == 3 and not logged_in:
                    return
                if key == self._leaves_waiting:
                    continue
                answer, logged_in = self._answer(key, version, body, logged_in)
                framed = struct.pack(">i", number) + answer
                connection.sendall(struct.pack(">i", len(framed)) + framed)

    def _answer(self, key: int, version: int, body: bytes, logged_in: bool) -> tuple[bytes, bool]:
        match key:
            case 18:
                of_topics = ((3, 0, 1),) if self._topics is None else VERSIONS
                versions = (*of_topics, (17, 0, 1), (18, 0, 0), (36, 0, 0))
                known = b"".join(struct.pack(">hhh", *each) for each in versions)
                # KIP-511: whatever version was asked for is answered in the oldest one.
                return struct.pack(">hi", 0 if version == 0 else 35, len(versions)) + known, logged_in
            case 17:
                if self._users is None:
                    return struct.pack(">hi", 34, 0), logged_in
                code = 0 if body[2:] == self._mechanism.encode() else 33
                return struct.pack(">hi", code, 1) + _string(self._mechanism), logged_in
            case 36:
                right = self._logs_in(body[4:].decode())
                return struct.pack(">h", 0 if right else 58) + struct.pack(">hi", -1, 0), right
        host, port = self._advertised
        if self._topics is not None and (key, version) != (3, 1):
            return self._topics.answer(key, body, host, port), logged_in
        broker = struct.pack(">i", 1) + _string(host) + struct.pack(">ih", port, -1)
        return struct.pack(">i", 1) + broker + struct.pack(">ii", 1, 0), logged_in

    def _logs_in(self, said: str) -> bool:
        if self._mechanism == "OAUTHBEARER":
            self.tokens += re.findall("\x01auth=Bearer ([^\x01]*)\x01", said)
            return False
        _, user, password = said.split("\0")
        return (self._users or {}).get(user) == password


def _requests(connection: socket.socket) -> Iterator[tuple[int, int, int, bytes]]:
    stream = connection.makefile("rb")
    while len(head := stream.read(4)) == 4:
        (size,) = struct.unpack(">i", head)
        if not 0 < size < _MAX_BYTES:  # the beginning of a TLS handshake
            return
        raw = stream.read(size)
        key, version, number, length = struct.unpack(">hhih", raw[:10])
        yield key, version, number, raw[10 + length :]


def _string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


@contextlib.contextmanager
def small_brokers() -> Iterator[Callable[..., SmallBroker]]:
    """Yield what opens a broker by the arguments of ``SmallBroker``; all are closed at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(contextlib.closing(SmallBroker(**settings)))
