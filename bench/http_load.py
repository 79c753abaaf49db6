"""Load on an HTTP server: one request after the other on each of some connections, from one thread."""

from __future__ import annotations

import selectors
import socket
import time

__all__ = ["answered_requests"]

CONNECTIONS = 32
END = b'{"status":1}'  # of every answer


def answered_requests(port: int, requests: list[bytes], *, seconds: float) -> int:
    """Send the requests in turn, for so long; return how many were answered. An answer but 200 ends it."""
    selector = selectors.DefaultSelector()
    sent = answered = 0
    answers: dict[socket.socket, bytes] = {}  # those that have begun
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
    for connection in connections:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
        connection.sendall(requests[sent % len(requests)])
        sent += 1
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for key, _ in selector.select(1.0):
            connection = key.fileobj  # type: ignore[assignment]  # it was a socket that was registered
            answer = answers.pop(connection, b"") + connection.recv(65_536)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"error: the server answered {answer[:200]!r}")
            if not answer.endswith(END):
                answers[connection] = answer
                continue
            answered += 1
            connection.sendall(requests[sent % len(requests)])
            sent += 1
    for connection in connections:
        connection.close()
    return answered
