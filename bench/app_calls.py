"""What a call costs on the app's own thread, ours and posthog-python's."""

from __future__ import annotations

import inspect
import itertools
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
import timeit
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.services.kafka import KafkaService

from bench.environments import python_of
from flowise_telemetry import Edge, FlowGraph, OriginType, PredictionSent, Telemetry

__all__ = ["ID", "Accepts", "disabled_microseconds", "event", "own_calls", "peer_calls", "settings"]

ID = "0e0f0a0b-1c2d-4e3f-8a9b-0123456789ab"
BURST_EVENTS = 20
PAUSE_SECONDS = 0.004
_PEER_TIMEOUT_SECONDS = 300


def event(number: int = 0) -> PredictionSent:
    """A flow of eight nodes; every string but the flow's id is an object of its own, as an app has them."""
    nodes = tuple(f"chatOpenAI_{n}" for n in range(8))
    graph = FlowGraph(nodes, tuple(Edge(source, target) for source, target in itertools.pairwise(nodes)))
    chat_id = f"0e0f0a0b-1c2d-4e3f-8a9b-{number:012x}"
    return PredictionSent(chatflow_id=ID, chat_id=chat_id, type=OriginType.EXTERNAL, flow_graph=graph)


def settings(home: str, **more: str) -> dict[str, str]:
    """An environment with nothing of this machine's user in it."""
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
    """``send_telemetry`` while events leave through kafka-python to a real broker."""
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


class Accepts(BaseHTTPRequestHandler):
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
    """posthog-python's ``capture``, against an HTTP server on loopback; None where it cannot be installed."""
    python = python_of("posthog")
    if python is None:
        return None
    server = ThreadingHTTPServer(("127.0.0.1", 0), Accepts)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "peer_calls.py").write_text(_shared_source())
        command = [str(python), "-c", PEER_CODE, f"http://127.0.0.1:{server.server_port}", folder, str(calls)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_PEER_TIMEOUT_SECONDS)
    server.shutdown()
    server.server_close()
    p50, p99 = json.loads(done.stdout.splitlines()[-1])
    return float(p50), float(p99)


def _shared_source() -> str:
    """The very functions that measure our own calls, for the peer's interpreter."""
    head = "import statistics, time\nfrom collections.abc import Callable\n"
    return (
        f"{head}BURST_EVENTS, PAUSE_SECONDS = {BURST_EVENTS}, {PAUSE_SECONDS}\n"
        f"{inspect.getsource(call_times)}\n{inspect.getsource(percentiles)}"
    )


def disabled_microseconds(repeats: int) -> list[float]:
    """CPU time of a call while telemetry is off."""
    telemetry = Telemetry(app_version="3.0.1", enabled=False, env_file=os.devnull, environ={})
    sent, calls = event(), 200_000
    spent = timeit.repeat(lambda: telemetry.send_telemetry(sent), number=calls, repeat=repeats, timer=time.process_time)
    return [seconds / calls * 1e6 for seconds in spent]
