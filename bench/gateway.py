"""What a gateway takes in on one core, next to a plain uvicorn that answers 200: ``python -m bench.gateway``.

The server is a process of its own, whose cluster acknowledges at once; the load comes from this one. Figures are by a
second of the server's CPU time, all its threads together: what one core takes in, whoever shares the machine. Each is
measured at least five times; the range is of the rounds.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.http_load import answered_requests
from bench.size import REPEATS, SMOKE, scaled

KEY = "a-project-key-of-the-bench"
ID = "0e0f0a0b-1c2d-4e3f-8a9b-0123456789ab"
SECONDS = float(os.environ.get("BENCH_SECONDS", "0.3" if SMOKE else "3"))
REQUESTS = scaled(2_000)
BATCH = 100


def prediction(number: int) -> dict[str, Any]:
    """An event of a flow with four nodes, as posthog-node sends it."""
    nodes = ["chatPromptTemplate_0", "chatOpenAI_0", "llmChain_0", "bufferMemory_0"]
    return {
        "distinct_id": f"organisation-{number % 500}",
        "event": "prediction_sent",
        "properties": {
            "version": "3.0.1",
            "chatflowId": ID,
            "chatId": ID,
            "type": "EXTERNAL",
            "flowGraph": {"nodes": nodes, "edges": [{"source": its, "target": "llmChain_0"} for its in nodes[:2]]},
            "$lib": "posthog-node",
            "$lib_version": "5.0.0",
            "$is_server": True,
        },
        "uuid": f"0190a1b2-0000-7000-8000-{number:012x}",
    }


def request_of(first: int, events: int) -> bytes:
    """One request of so many events."""
    body = json.dumps({"api_key": KEY, "batch": [prediction(number) for number in range(first, first + events)]})
    return f"POST /batch/ HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


class _Acknowledging:
    """A ``RecordWriter`` of a cluster that takes no time."""

    def send(self, record: Any, on_delivery: Any) -> None:
        from flowise_telemetry_transport import Delivery

        on_delivery(Delivery(record.topic, 0, 0), None)

    def poll(self) -> None: ...

    def flush(self, *, timeout_seconds: float) -> int:
        return 0

    def close(self, *, timeout_seconds: float) -> None: ...


def serve_plain(bound: socket.socket) -> None:
    """Answer 200 to everything, with uvicorn alone."""
    import uvicorn

    head = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"12")]}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            more = (await receive()).get("more_body", False)
        await send(head)
        await send({"type": "http.response.body", "body": b'{"status":1}'})

    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
    print("ready", flush=True)
    uvicorn.Server(config).run([bound])


def serve_gateway(bound: socket.socket, spool: str | None) -> None:
    """Be a gateway before a cluster that takes no time."""
    from flowise_telemetry import Limits, Telemetry
    from flowise_telemetry_gateway import Gateway, GatewayCounters, GatewayLimits, ProjectKeys, serve
    from flowise_telemetry_gateway.intake.posthog import PosthogIntake

    with tempfile.TemporaryDirectory() as home:
        telemetry = Telemetry(
            app_version="0.0.0",
            environ={"FLOWISE_TELEMETRY_CONFIG_DIR": home},
            writer_factory=_Acknowledging,
            spool_dir=spool,
            limits=Limits(
                buffer_max_events=50_000, buffer_max_bytes=67_108_864, spool_max_bytes=1 << 30, linger_seconds=0.01
            ),
        )
        counters = GatewayCounters()
        gateway = Gateway(
            telemetry=telemetry,
            intake=PosthogIntake(telemetry, b"s" * 32, counters, remembered_events=1_000),  # fewer than come
            forwarder=None,
            keys=ProjectKeys(KEY),
            limits=GatewayLimits(),
            counters=counters,
            waits_for_disk=spool is not None,
        )
        serve(gateway, bound, stop=threading.Event(), on_start=lambda: print("ready", flush=True))


@contextmanager
def server(kind: str) -> Iterator[tuple[int, int]]:
    """Run a server of this kind; yield its port and its process id."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0), backlog=256) as bound:
        code = "import sys; from bench.gateway import child; child(sys.argv[1], int(sys.argv[2]), sys.argv[3])"
        arguments = [sys.executable, "-c", code, kind, str(bound.fileno()), str(Path(folder) / "spool")]
        process = subprocess.Popen(arguments, pass_fds=[bound.fileno()], stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield bound.getsockname()[1], process.pid
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def child(kind: str, descriptor: int, spool: str) -> None:
    """Serve, in a process of its own, on one core where the system can be told so."""
    bound = socket.socket(fileno=descriptor)
    if kind == "plain":
        serve_plain(bound)
    else:
        serve_gateway(bound, spool if kind == "spool" else None)


def memory_mib(pid: int) -> float:
    """The process's resident memory; 0 where /proc does not tell it."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_048_576


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rate(port: int, pid: int, requests: list[bytes]) -> float:
    """Requests that are answered in a second of CPU time."""
    before = cpu_seconds(pid)
    answered = answered_requests(port, requests, seconds=SECONDS)
    return answered / max(0.01, cpu_seconds(pid) - before)


def spread(values: list[float], *, times: int = 1) -> str:
    """Median and range."""
    shown = [value * times for value in values]
    return f"{statistics.median(shown):,.0f} ({min(shown):,.0f}-{max(shown):,.0f})"


def main() -> None:
    single = [request_of(number, 1) for number in range(REQUESTS)]
    batches = [request_of(BATCH * number, BATCH) for number in range(REQUESTS // 20)]
    rates: dict[tuple[str, int], list[float]] = {}
    memory: dict[str, tuple[float, float]] = {}
    for _ in range(REPEATS):
        for kind in ("plain", "memory", "spool"):
            with server(kind) as (port, pid):
                answered_requests(port, single, seconds=SECONDS / 3)
                before = memory_mib(pid)
                for events, requests in ((1, single), (BATCH, batches)):
                    rates.setdefault((kind, events), []).append(rate(port, pid, requests))
                memory[kind] = (before, memory_mib(pid))
    named = {"plain": "uvicorn answering 200", "memory": "gateway", "spool": "gateway with a spool"}
    print(f"requests and events a second of CPU time, median (range) of {REPEATS}")
    for kind, name in named.items():
        ratio = statistics.median(rates[kind, 1]) / statistics.median(rates["plain", 1])
        print(f"  {name:24} one event a request: {spread(rates[kind, 1])} requests, {ratio:.2f} of uvicorn's")
        if kind != "plain":
            told = f"{memory[kind][0]:.0f} MiB before, {memory[kind][1]:.0f} MiB after"
            print(f"  {'':24} {BATCH} a request: {spread(rates[kind, BATCH], times=BATCH)} events; memory {told}")


if __name__ == "__main__":
    main()
