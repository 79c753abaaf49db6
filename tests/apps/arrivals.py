"""What arrived, on our topic and at a server that takes what posthog-python sends."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from flowise_telemetry_schemas import catalog, codec
from flowise_telemetry_transport import open_reader
from tests.services.kafka import KafkaService

__all__ = ["Arrivals", "PosthogServer", "arrivals", "posthog_server"]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The numbers that the app gave its events, and how many events each stream has."""

    numbers: frozenset[int]
    streams: dict[str, int]


def arrivals(kafka: KafkaService, topic: str) -> Arrivals:
    """Read the whole topic. No event may be there twice, and no stream may have a gap."""
    reader = open_reader(kafka.settings())
    partitions = reader.partitions_of(topic)
    ends = reader.end_offsets(partitions)
    reader.assign(dict.fromkeys(partitions, 0))
    records: list[dict[str, Any]] = []
    deadline = time.monotonic() + 60.0
    while any(reader.position(partition) < end for partition, end in ends.items()):
        assert time.monotonic() < deadline
        batch = reader.poll(timeout_seconds=1.0, max_records=5_000)
        records += [codec.decode(record.value, catalog())[1] for record in batch if record.value is not None]
    reader.close()
    events = [record for record in records if "toolId" in record]
    assert len({record["eventId"] for record in events}) == len(events), "an event arrived twice"
    for stream in {record["streamId"] for record in events}:
        numbered = {record["sequence"] for record in records if record["streamId"] == stream}
        assert numbered == set(range(max(numbered) + 1)), f"a gap in a stream of {len(numbered)}"
    numbers = frozenset(int(record["toolId"][-12:], 16) for record in events)
    return Arrivals(numbers, dict(Counter(record["streamId"] for record in events)))


@dataclass(slots=True)
class PosthogServer:
    """Where posthog-python sends to, and the numbers that came."""

    address: str
    numbers: set[int] = field(default_factory=set)


@contextmanager
def posthog_server() -> Iterator[PosthogServer]:
    """Answer on loopback as the hosted service does."""
    found = PosthogServer("")

    class Accepts(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            text = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
            for event in json.loads(text).get("batch", []):
                found.numbers.add(event["properties"]["number"])
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Accepts)
    found.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
