"""A proxy in front of object storage that a test can make fail: 503, no answer in time, an answer that is lost."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

__all__ = ["FAULTS", "Fault", "FaultyStorage", "faulty_storage"]

Fault = Literal["", "busy", "silent", "answer lost"]
"""Nothing, 503 without the request's effect, no answer and no effect, the effect and no answer."""

FAULTS: tuple[Fault, ...] = ("busy", "silent", "answer lost")

_REQUEST_TIMEOUT_SECONDS = 30


class FaultyStorage:
    """``choose`` is asked for each request, by its method and path."""

    def __init__(self, endpoint: str) -> None:
        self.target = urlsplit(endpoint).netloc
        self.choose: Callable[[str, str], Fault] = lambda method, path: ""
        self.faults: list[Fault] = []
        self.ended = threading.Event()
        self.endpoint = ""

    def fault(self, method: str, path: str) -> Fault:
        chosen = self.choose(method, path)
        if chosen:
            self.faults.append(chosen)
        return chosen


@contextmanager
def faulty_storage(endpoint: str) -> Iterator[FaultyStorage]:
    storage = FaultyStorage(endpoint)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = storage.fault(self.command, self.path)
            if fault == "silent":
                storage.ended.wait(_REQUEST_TIMEOUT_SECONDS)
                self.close_connection = True
                return
            if fault == "busy":
                self.answer(503, [], b"<Error><Code>SlowDown</Code></Error>")
                return
            try:
                connection = http.client.HTTPConnection(storage.target, timeout=_REQUEST_TIMEOUT_SECONDS)
                # The signature covers the name of the host: it is passed on as it came.
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    connection.putheader(name, value)
                connection.endheaders(body)
                answer = connection.getresponse()
                data = answer.read()
                connection.close()
            except (OSError, http.client.HTTPException):
                self.close_connection = True
                return
            if fault == "answer lost":
                self.close_connection = True
                return
            left_out = ("transfer-encoding", "connection", "content-length")
            headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in left_out]
            length = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self.answer(answer.status, headers, data, length)

        def answer(self, status: int, headers: Any, body: bytes, length: str | None = None) -> None:
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            if status not in (204, 304):
                self.send_header("Content-Length", length or str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = pass_on  # noqa: N815 - the names of the library

        def log_message(self, *told: object) -> None:
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                self.close_connection = True

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *told: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        storage.endpoint = f"http://127.0.0.1:{server.server_port}"
        yield storage
        storage.ended.set()
        server.shutdown()
        thread.join(60)
