"""Requests to a server on a Unix socket, from several threads, each until it is answered."""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = ["longest_ping_seconds", "request_all", "wait_until_it_answers"]

_THREADS = 8
_ATTEMPTS = 20


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60.0)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _request(server: Path, target: str) -> None:
    connection = _Connection(server)
    try:
        connection.request("GET", target, headers={"Connection": "close"})
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b"ok")
    finally:
        connection.close()


def request_all(server: Path, numbers: range) -> None:
    """Send ``/send/NUMBER`` for each. A worker that ends may drop a connection that it never answered: again then."""

    def one(number: int) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                return _request(server, f"/send/{number}")
            except (OSError, http.client.HTTPException):
                if attempt + 1 == _ATTEMPTS:
                    raise
                time.sleep(0.05)
        return None

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(one, numbers))


def wait_until_it_answers(server: Path, process: subprocess.Popen[str], *, seconds: float = 60.0) -> None:
    """Wait for the first answer. Raises ``AssertionError``."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return _request(server, "/ping")
        except (OSError, http.client.HTTPException):
            assert time.monotonic() < deadline, "the server does not answer"
            assert process.poll() is None, "the server has ended"
            time.sleep(0.05)


def longest_ping_seconds(server: Path, ended: threading.Event) -> float:
    """Ask ``/ping`` until ``ended``; return the longest wait for an answer, or for the end of a worker's connection."""
    longest = 0.0
    while not ended.is_set():
        began = time.monotonic()
        with contextlib.suppress(OSError, http.client.HTTPException):  # a worker that ends
            _request(server, "/ping")
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.02)
    return longest
