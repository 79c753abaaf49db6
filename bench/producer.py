"""What the producer costs an app, next to peers measured in the same run: ``python -m bench.producer``.

The broker is that of the tests (``KAFKA_BOOTSTRAP_SERVERS``, Docker, Java). posthog-python runs in an environment of
its own under ``bench/.venvs``, against an HTTP server on loopback.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import timeit
import venv
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.services.kafka import KafkaService, start_kafka

from flowise_telemetry import Edge, FlowGraph, Limits, OriginType, PredictionSent, Telemetry
from flowise_telemetry.encoder import Encoded, Encoder, new_stream_id
from flowise_telemetry.instance_id import InstanceId

BENCH = Path(__file__).parent
PEER = BENCH / ".venvs" / "posthog"
PEER_REQUIREMENT = "posthog==7.91.1"
ID = "0e0f0a0b-1c2d-4e3f-8a9b-0123456789ab"
BURST_EVENTS = 20
PAUSE_SECONDS = 0.004
COMMON = "logging, dataclasses, typing, enum, queue, threading, weakref"  # what nearly every app has loaded


@dataclass(frozen=True, slots=True)
class Row:
    """A measured figure, what was promised of it, and whether that holds (None: nothing was promised)."""

    what: str
    value: float
    unit: str
    wanted: str = ""
    holds: bool | None = None


def event(number: int = 0) -> PredictionSent:
    """A flow of eight nodes; every string but the flow's id is an object of its own, as an app has them."""
    nodes = tuple(f"chatOpenAI_{n}" for n in range(8))
    graph = FlowGraph(nodes, tuple(Edge(source, target) for source, target in itertools.pairwise(nodes)))
    chat_id = f"0e0f0a0b-1c2d-4e3f-8a9b-{number:012x}"
    return PredictionSent(chatflow_id=ID, chat_id=chat_id, type=OriginType.EXTERNAL, flow_graph=graph)


def settings(home: str, **more: str) -> dict[str, str]:
    return {"FLOWISE_TELEMETRY_CONFIG_DIR": home, **more}


def call_times(call: Callable[[], object], calls: int) -> list[int]:
    """Nanoseconds of each call, in bursts, so that the thread behind it is always busy and never left far behind."""
    spent = []
    clock = time.perf_counter_ns
    for _ in range(calls // BURST_EVENTS):
        for _ in range(BURST_EVENTS):
            begun = clock()
            call()
            spent.append(clock() - begun)
        time.sleep(PAUSE_SECONDS)
    return spent


def percentiles(spent: list[int]) -> tuple[float, float]:
    """p50 and p99 in microseconds."""
    cuts = statistics.quantiles(spent, n=100)
    return cuts[49] / 1000, cuts[98] / 1000


def own_calls(kafka: KafkaService, calls: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as home:
        telemetry = Telemetry(
            app_version="3.0.1",
            bootstrap_servers=",".join(kafka.bootstrap_servers),
            topic=kafka.new_topic(),
            env_file=os.devnull,
            environ=settings(home),
        )
        telemetry.send_telemetry(event())
        telemetry.flush(60.0)
        sent = event()
        found = percentiles(call_times(lambda: telemetry.send_telemetry(sent), calls))
        telemetry.close(timeout_seconds=60.0)
        assert telemetry.stats().dropped == {}, telemetry.stats()
    return found


class _Accepts(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None: ...


PEER_CODE = """
import json, sys
sys.path.insert(0, sys.argv[2])
from posthog import Posthog
from peer_calls import call_times, percentiles
client = Posthog("phc_bench", host=sys.argv[1], disable_geoip=True)
nodes = [f"chatOpenAI_{number}" for number in range(8)]
properties = {"version": "3.0.1", "chatflowId": "ID", "chatId": "ID", "type": "EXTERNAL",
    "flowGraph": {"nodes": nodes, "edges": [{"source": a, "target": b} for a, b in zip(nodes, nodes[1:])]}}
call = lambda: client.capture("prediction_sent", distinct_id="ID", properties=properties)
call(); client.flush()
print(json.dumps(percentiles(call_times(call, int(sys.argv[3])))))
client.shutdown()
""".replace("ID", ID)


def peer_calls(calls: int) -> tuple[float, float] | None:
    """posthog-python's ``capture``; None where it cannot be installed."""
    python = PEER / "bin" / "python"
    if not python.exists():
        venv.create(PEER, with_pip=True)
        (PEER.parent / ".gitignore").write_text("*\n")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PEER_REQUIREMENT]
    if subprocess.run(pip, check=False).returncode:
        return None
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Accepts)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "peer_calls.py").write_text(_shared_source())
        command = [str(python), "-c", PEER_CODE, f"http://127.0.0.1:{server.server_port}", folder, str(calls)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    server.shutdown()
    p50, p99 = json.loads(done.stdout.splitlines()[-1])
    return float(p50), float(p99)


def _shared_source() -> str:
    """The very functions that measure our own calls, for the peer's interpreter."""
    import inspect

    head = "import statistics, time\nfrom collections.abc import Callable\n"
    return (
        f"{head}BURST_EVENTS, PAUSE_SECONDS = {BURST_EVENTS}, {PAUSE_SECONDS}\n"
        f"{inspect.getsource(call_times)}\n{inspect.getsource(percentiles)}"
    )


def disabled_microseconds() -> float:
    telemetry = Telemetry(app_version="3.0.1", enabled=False, env_file=os.devnull, environ={})
    sent = event()
    return min(timeit.repeat(lambda: telemetry.send_telemetry(sent), number=100_000, repeat=5)) * 10


def import_milliseconds(*, after: str = "time") -> float:
    """Of a process of its own, with the modules compiled, as pip leaves them; ``after``: what is imported before."""
    code = f"import time, {after}; t = time.perf_counter(); import flowise_telemetry; print(time.perf_counter() - t)"
    with tempfile.TemporaryDirectory() as compiled:
        environ = {**os.environ, "PYTHONPYCACHEPREFIX": compiled, "PYTHONDONTWRITEBYTECODE": ""}
        command = [sys.executable, "-c", code]
        _compiles, *runs = (float(subprocess.check_output(command, text=True, env=environ)) for _ in range(16))
    return min(runs) * 1000


def ready_made(count: int) -> list[Encoded]:
    encoder, sent = Encoder("3.0.1", InstanceId(b"bench"), new_stream_id()), event()
    now_ms = time.time_ns() // 1_000_000
    return [encoder.encode(sent, number, now_ms) for number in range(count)]


def bare_per_second(kafka: KafkaService, client: str, records: list[Encoded]) -> float:
    """The client alone, with the settings that the producer gives it."""
    topic, servers = kafka.new_topic(), ",".join(kafka.bootstrap_servers)
    if client == "kafka-python":
        from kafka import KafkaProducer

        slow = KafkaProducer(
            bootstrap_servers=servers, acks="all", retries=5, max_in_flight_requests_per_connection=1, linger_ms=20
        )
        slow.partitions_for(topic)
        begun = time.perf_counter()
        for record in records:
            slow.send(topic, key=record.key, value=record.value)
        slow.flush()
        spent = time.perf_counter() - begun
        slow.close()
    else:
        from confluent_kafka import Producer

        fast = Producer({
            "bootstrap.servers": servers,
            "enable.idempotence": True,
            "linger.ms": 20,
            "queue.buffering.max.messages": 1_000_000,
        })  # fmt: skip
        fast.list_topics(topic)
        begun = time.perf_counter()
        for record in records:
            fast.produce(topic, key=record.key, value=record.value)
            fast.poll(0)
        fast.flush()
        spent = time.perf_counter() - begun
    return len(records) / spent


def own_per_second(kafka: KafkaService, client: str, count: int) -> float:
    """From ``send_telemetry`` to acknowledged."""
    with tempfile.TemporaryDirectory() as home:
        telemetry = Telemetry(
            app_version="3.0.1",
            bootstrap_servers=",".join(kafka.bootstrap_servers),
            topic=kafka.new_topic(),
            env_file=os.devnull,
            environ=settings(home, FLOWISE_TELEMETRY_CLIENT=client),
            limits=Limits(buffer_max_events=count + 1, buffer_max_bytes=1 << 30),
        )
        sent = event()
        telemetry.send_telemetry(sent)
        telemetry.flush(60.0)
        begun = time.perf_counter()
        for _ in range(count):
            telemetry.send_telemetry(sent)
        assert telemetry.flush(300.0)
        spent = time.perf_counter() - begun
        telemetry.close(timeout_seconds=10.0)
    return count / spent


MEMORY_CODE = """
import resource, sys, tempfile, time
from bench.producer import event
from flowise_telemetry import Limits, Telemetry
limits = Limits()
telemetry = Telemetry(app_version="3.0.1", bootstrap_servers="127.0.0.1:1", first_run_notice=False,
    environ={"FLOWISE_TELEMETRY_CONFIG_DIR": tempfile.mkdtemp()}, limits=limits)
telemetry.send_telemetry(event())
time.sleep(1.0)
def now():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 1048576
before = highest = now()
for number in range(int(sys.argv[1])):
    telemetry.send_telemetry(event(number))
    if number % 10_000 == 0:
        highest = max(highest, now())
time.sleep(1.0)
assert telemetry.stats().dropped["queue_full"], telemetry.stats()
print(max(highest, now()) - before)
"""


def outage_mebibytes(events: int) -> float:
    """How much a process grows while the broker is away."""
    command = [sys.executable, "-c", MEMORY_CODE, str(events)]
    return float(subprocess.check_output(command, text=True, cwd=BENCH.parent))


def run(*, calls: int = 20_000, events: int = 50_000, outage_events: int = 3_600_000) -> list[Row]:
    """Every figure. Takes minutes. ``outage_events``: an hour at 1,000 a second."""
    service, _ = start_kafka()
    rows = []
    try:
        p50, p99 = own_calls(service, calls)
        rows.append(Row("send_telemetry, sender busy, p50", p50, "µs", "≤ 10", p50 <= 10))
        rows.append(Row("send_telemetry, sender busy, p99", p99, "µs", "≤ 60", p99 <= 60))
        peer = peer_calls(calls)
        if peer is not None:
            rows.append(Row("posthog-python capture, p50", peer[0], "µs"))
            rows.append(Row("posthog-python capture, p99", peer[1], "µs"))
            ratio = peer[0] / p50
            rows.append(Row("posthog-python over ours at the median", ratio, "times", "≥ 15", ratio >= 15))
        off = disabled_microseconds()
        rows.append(Row("send_telemetry, disabled", off, "µs", "< 0.5", off < 0.5))
        loading = import_milliseconds()
        rows.append(Row("import flowise_telemetry", loading, "ms", "< 30", loading < 30))
        rows.append(Row("  where logging, dataclasses, queue are there", import_milliseconds(after=COMMON), "ms"))
        records = ready_made(events)
        reached: dict[str, float] = {}
        for client in ("kafka-python", "librdkafka"):
            bare = max(bare_per_second(service, client, records) for _ in range(2))
            reached[client] = max(own_per_second(service, client, events) for _ in range(2))
            share = reached[client] / bare
            rows.append(Row(f"{client} alone", bare, "events/s"))
            rows.append(Row(f"producer with {client}", reached[client], "events/s"))
            rows.append(Row("  of the client alone", share, "", "≥ 0.8", share >= 0.8))
        faster = reached["librdkafka"] / reached["kafka-python"]
        rows.append(Row("librdkafka over kafka-python", faster, "times", "≥ 5", faster >= 5))
    finally:
        service.stop()
    grown = outage_mebibytes(outage_events)
    bound = Limits().buffer_max_bytes / 1_048_576
    rows.append(Row("growth in an hour without broker", grown, "MiB", f"≤ {bound:g}", grown <= bound))
    return rows


def main() -> None:
    """Prints the table."""
    for row in run():
        verdict = "" if row.holds is None else "holds" if row.holds else "DOES NOT HOLD"
        print(f"{row.what:<42} {row.value:12,.2f} {row.unit:<9} {row.wanted:<8} {verdict}".rstrip())


if __name__ == "__main__":
    main()
