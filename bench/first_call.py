"""What the first call of a process costs: imports, threads, connections. Each is a process of its own."""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
from http.server import ThreadingHTTPServer

from bench.app_calls import ID, Accepts
from bench.environments import BENCH, python_of

__all__ = ["first_calls", "peers_first_calls"]

_TIMEOUT_SECONDS = 120

OWN_CODE = """
import os, sys, tempfile, time
from bench.app_calls import event
from flowise_telemetry import Telemetry
telemetry = Telemetry(app_version="3.0.1", bootstrap_servers=sys.argv[1], topic=sys.argv[2], env_file=os.devnull,
    first_run_notice=False, environ={"FLOWISE_TELEMETRY_CONFIG_DIR": tempfile.mkdtemp()})
sent = event()
begun = time.perf_counter()
telemetry.send_telemetry(sent)
print((time.perf_counter() - begun) * 1000)
telemetry.close(timeout_seconds=30.0)
assert telemetry.stats().sent == 1, telemetry.stats()
"""

PEER_CODE = """
import sys, time
from posthog import Posthog
client = Posthog("phc_bench", host=sys.argv[1], disable_geoip=True)
begun = time.perf_counter()
client.capture("prediction_sent", distinct_id="ID", properties={"version": "3.0.1", "chatflowId": "ID"})
print((time.perf_counter() - begun) * 1000)
client.shutdown()
""".replace("ID", ID)


def _told(command: list[str]) -> float:
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=_TIMEOUT_SECONDS, cwd=BENCH.parent
    )
    return float(done.stdout.splitlines()[-1])


def first_calls(servers: str, topic: str, processes: int) -> list[float]:
    """Milliseconds of the first ``send_telemetry`` of so many processes; each delivers its event."""
    return [_told([sys.executable, "-c", OWN_CODE, servers, topic]) for _ in range(processes)]


def peers_first_calls(processes: int) -> list[float] | None:
    """Milliseconds of posthog-python's first ``capture``; None where it cannot be installed."""
    python = python_of("posthog")
    if python is None:
        return None
    server = ThreadingHTTPServer(("127.0.0.1", 0), Accepts)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = [str(python), "-c", PEER_CODE, f"http://127.0.0.1:{server.server_port}"]
    spent = [_told(command) for _ in range(processes)]
    server.shutdown()
    server.server_close()
    return spent


def p99(spent: list[float]) -> float:
    """Return the 99th percentile."""
    return statistics.quantiles(spent, n=100, method="inclusive")[98]
