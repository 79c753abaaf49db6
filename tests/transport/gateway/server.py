"""A small gateway for tests: it speaks the wire, keeps what it gets in the in-memory broker, and fails on request."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from flowise_telemetry_transport import InMemoryBroker, OutgoingRecord
from flowise_telemetry_transport.gateway.wire import (
    CONTENT_TYPE,
    RECORDS_PATH,
    Answer,
    Refusal,
    WireRecord,
    decode_batch,
    encode_answer,
    encode_error,
)

__all__ = ["KEY", "TOPIC", "Fault", "GatewayServer", "Request", "say", "serving"]

KEY = "key-of-the-project"
TOPIC = "events"


@dataclass
class Request:
    """A request as it came, and what can be said to it."""

    handler: BaseHTTPRequestHandler
    connection: int
    records: list[WireRecord]

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.handler.send_response_only(status)
        for name, text in {"Content-Length": str(len(body)), **headers}.items():
            self.handler.send_header(name.replace("_", "-"), text)
        self.handler.end_headers()
        self.handler.wfile.write(body)

    def reset(self) -> None:
        """Close the connection without a word, as a machine that dies."""
        self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.handler.close_connection = True


Fault = Callable[[Request], None]


def say(status: int, error: str = "", message: str = "", **headers: str) -> Fault:
    body = encode_error(error, message) if error else b"<html>no gateway</html>"
    return lambda request: request.answer(status, body, **headers)


@dataclass
class GatewayServer:
    """Takes records for ``keys``. ``faults`` are what the next requests meet instead, in order.

    ``refuses`` gives the reason to refuse a record, or None; ``max_bytes`` bounds a body before compression.
    ``unready`` is the reason that /readyz gives, with ``date`` as its time, else that of now.
    """

    broker: InMemoryBroker = field(default_factory=InMemoryBroker)
    keys: set[str] = field(default_factory=lambda: {KEY})
    revoked: set[str] = field(default_factory=set)
    faults: deque[Fault] = field(default_factory=deque)
    refuses: Callable[[WireRecord], str | None] = lambda record: None
    max_bytes: int = 10_000_000
    topic: str = TOPIC
    requests: list[Request] = field(default_factory=list)
    connects: list[str] = field(default_factory=list)
    url: str = ""
    connections: Iterator[int] = field(default_factory=itertools.count)
    unready: str = ""
    date: str = ""

    def accept(self, records: list[WireRecord]) -> Answer:
        """Keep what is not refused."""
        writer = self.broker.open_writer(max_record_bytes=100_000_000)
        refused = []
        for index, record in enumerate(records):
            reason = self.refuses(record)
            if reason is not None:
                refused.append(Refusal(index, reason, "said by the test"))
                continue
            writer.send(OutgoingRecord(self.topic, *record), lambda delivery, error: None)
        writer.close(timeout_seconds=1)
        return Answer(len(records) - len(refused), tuple(refused))

    def tell_of_readiness(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(request := Request(handler, -1, []))
        request.answer(
            503 if self.unready else 200, (self.unready or "ok").encode(), Date=self.date or formatdate(usegmt=True)
        )

    def stored(self, topic: str | None = None) -> list[bytes]:
        """Return the values of a topic, partition by partition."""
        reader = self.broker.open_reader()
        partitions = reader.partitions_of(topic or self.topic)
        reader.assign(dict.fromkeys(partitions, 0))
        found = []
        while records := reader.poll(timeout_seconds=0, max_records=1000):
            found += [record.value or b"" for record in records]
        return found

    def take(self, handler: BaseHTTPRequestHandler, connection: int) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        if handler.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        request = Request(handler, connection, decode_batch(body, max_records=10_000))
        self.requests.append(request)
        key = (handler.headers["Authorization"] or "").removeprefix("Bearer ")
        fault = self.faults.popleft() if self.faults else None
        if fault is not None:
            fault(request)
        elif handler.path != RECORDS_PATH or handler.headers["Content-Type"] != CONTENT_TYPE:
            request.answer(404, b"")
        elif key in self.revoked:
            request.answer(403, encode_error("key_revoked", "ask for another"))
        elif key not in self.keys:
            request.answer(401, encode_error("key_unknown", "no such key"))
        elif len(body) > self.max_bytes:
            request.answer(413, encode_error("too_large", f"at most {self.max_bytes} bytes"))
        else:
            request.answer(200, encode_answer(self.accept(request.records)))


@contextlib.contextmanager
def serving(gateway: GatewayServer, context: ssl.SSLContext | None = None) -> Iterator[GatewayServer]:
    """Serve on loopback until the end."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            self.number = next(gateway.connections)

        def do_POST(self) -> None:
            gateway.take(self, self.number)

        def do_GET(self) -> None:
            gateway.tell_of_readiness(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 100

        def get_request(self) -> tuple[socket.socket, object]:
            connection, address = super().get_request()
            opened.add(connection)
            return connection, address

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # the client has gone

    opened: set[socket.socket] = set()
    server = Server(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    gateway.url = f"http{'s' * (context is not None)}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield gateway
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        for connection in opened:
            connection.close()
