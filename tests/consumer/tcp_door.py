"""A door in front of a server that a test can shut: connections break, new ones are refused."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit, urlunsplit


class TcpDoor:
    """Listens on ``port`` and passes bytes to and from what ``connect`` gives.

    ``latency_seconds`` are added to each portion of bytes, in both directions. With ``turns_away`` a new connection is
    accepted and closed at once, as by a balancer with nothing behind it; so are the ``turns_away_next``.
    """

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._passes = threading.Event()
        self._passes.set()
        self.port = 0
        self.latency_seconds = 0.0
        self.turns_away = False
        self.turns_away_next = 0
        self.open()

    def open(self) -> None:
        if self._listener is not None:
            return
        listener = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def shut(self) -> None:
        if self._listener is not None:
            # A shutdown first: accept would otherwise go on in the other thread.
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.cut()

    def cut(self) -> None:
        """Break what is connected; new connections are let through."""
        for side in list(self._open):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Break what is connected by an RST, as a firewall that forgot the connection does."""
        for side in list(self._open):
            with contextlib.suppress(OSError):
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.cut()

    def freeze(self) -> None:
        """Pass nothing on, in connections that stay: as a server that was stopped (SIGSTOP), or whose disk hangs."""
        self._passes.clear()

    def thaw(self) -> None:
        """Pass on again."""
        self._passes.set()

    def heal(self) -> None:
        """Stand open, and pass on at once."""
        self.latency_seconds = 0.0
        self.turns_away = False
        self.thaw()
        self.open()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                front, _ = listener.accept()
            except OSError:
                return
            if self.turns_away or self.turns_away_next:
                self.turns_away_next = max(0, self.turns_away_next - 1)
                front.close()
                continue
            try:
                back = self._connect()
            except OSError:  # nothing is behind it at the moment
                front.close()
                continue
            self._open |= {front, back}
            for source, target in ((front, back), (back, front)):
                threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self._passes.wait()
                if self.latency_seconds:
                    time.sleep(self.latency_seconds)
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
        source.close()
        self._open.discard(source)


def postgres_door(url: str) -> tuple[TcpDoor, str]:
    """A door in front of a PostgreSQL, on TCP or on a socket in a folder, and the URL that leads through it."""
    parts = urlsplit(url)
    folder = parse_qs(parts.query).get("host", [""])[0]

    def connect() -> socket.socket:
        if not folder:
            return socket.create_connection((parts.hostname or "localhost", parts.port or 5432))
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(f"{folder}/.s.PGSQL.5432")
        return connection

    door = TcpDoor(connect)
    login = parts.netloc.rpartition("@")[0]
    return door, urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{door.port}", query=""))
