"""The end of the socket that a service manager reads."""

from __future__ import annotations

import queue
import socket
import threading

__all__ = ["ServiceManager"]

_WAIT_SECONDS = 60
_END = b"END=1"


class ServiceManager:
    """Bound to a path, or to a name in the abstract namespace, which begins with a zero byte.

    A thread reads, as a socket keeps ten messages and no more.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._read: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def message(self) -> dict[str, str]:
        """Wait for the next message; return what it assigns."""
        lines = self._read.get(timeout=_WAIT_SECONDS).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def messages(self) -> list[dict[str, str]]:
        """Return the messages that have come until now."""
        self._send(_END)
        return list(iter(self.message, {"END": "1"}))

    def close(self) -> None:
        """End the thread and close the socket."""
        self._send(b"")
        self._thread.join(_WAIT_SECONDS)
        self._socket.close()

    def _keep(self) -> None:
        while message := self._socket.recv(65_536):
            self._read.put(message)

    def _send(self, message: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(message, self._address)
