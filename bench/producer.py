"""What the producer costs an app, next to peers measured in the same run: ``python -m bench.producer``.

The broker is that of the tests (``KAFKA_BOOTSTRAP_SERVERS``, Docker, Java). posthog-python runs in an environment of
its own under ``bench/.venvs``, against an HTTP server on loopback. Every figure is measured at least five times.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from tests.services.kafka import KafkaService, start_kafka

from bench import rates
from bench.app_calls import disabled_microseconds, own_calls, peer_calls
from bench.environments import BENCH
from bench.first_call import first_calls, p99, peers_first_calls
from bench.size import REPEATS, SMOKE, scaled
from bench.table import Row, at_least, at_most, below, print_table, ratios
from flowise_telemetry import Limits

CALLS = scaled(10_000)
FIRST_CALLS = 2 if SMOKE else 20  # of processes, in each round
EVENTS = {"kafka-python": scaled(30_000), "librdkafka": scaled(100_000)}
OUTAGE_EVENTS = scaled(3_600_000)  # an hour at 1,000 a second
IMPORTS = 15
COMMON = "logging, dataclasses, typing, enum, queue, threading, weakref"  # what nearly every app has loaded


def import_milliseconds(*, after: str = "time") -> tuple[list[float], list[float]]:
    """Wall and CPU time of processes of their own, the modules compiled, as pip leaves them.

    ``after``: what is imported before. On a machine that others use too the CPU time tells more.
    """
    code = (
        f"import time, {after}; begun = time.perf_counter(), time.process_time(); import flowise_telemetry; "
        "print(time.perf_counter() - begun[0], time.process_time() - begun[1])"
    )
    wall: list[float] = []
    cpu: list[float] = []
    with tempfile.TemporaryDirectory() as compiled:
        environ = {**os.environ, "PYTHONPYCACHEPREFIX": compiled, "PYTHONDONTWRITEBYTECODE": ""}
        for number in range(IMPORTS + 1):
            told = subprocess.check_output([sys.executable, "-c", code], text=True, env=environ).split()
            if number:  # the first compiles
                wall.append(float(told[0]) * 1000)
                cpu.append(float(told[1]) * 1000)
    return wall, cpu


OUTAGE_CODE = """
import resource, sys, tempfile, time
from bench.app_calls import event
from flowise_telemetry import Telemetry
telemetry = Telemetry(app_version="3.0.1", bootstrap_servers="127.0.0.1:1", first_run_notice=False,
    environ={"FLOWISE_TELEMETRY_CONFIG_DIR": tempfile.mkdtemp(), "FLOWISE_TELEMETRY_CLIENT": sys.argv[2]})
telemetry.send_telemetry(event())
telemetry.flush(2.0)  # the client is loaded
def now():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 1048576
before = highest = now()
refused = event()
for number in range(int(sys.argv[1])):
    # An event of its own while there is room; what is refused is gone at once.
    telemetry.send_telemetry(event(number) if number < 50_000 else refused)
    if number % 10_000 == 0:
        highest = max(highest, now())
highest = max(highest, now())
assert telemetry.stats().dropped["queue_full"] > 0, telemetry.stats()
print(highest - before)
"""


def outage_mebibytes(client: str) -> float:
    """How much a process grows while the broker is away for as many events as an hour brings."""
    command = [sys.executable, "-c", OUTAGE_CODE, str(OUTAGE_EVENTS), client]
    return float(subprocess.check_output(command, text=True, cwd=BENCH.parent))


def call_rows(service: KafkaService) -> Iterator[Row]:
    """What the app's own thread pays."""
    own = []
    peer = []
    for _ in range(REPEATS):
        own.append(own_calls(service, CALLS))
        if (measured := peer_calls(CALLS)) is not None:
            peer.append(measured)
    p50 = [call[0] for call in own]
    yield Row("send_telemetry, sender busy, p50", p50, "µs", at_most(10))
    yield Row("send_telemetry, sender busy, p99", [call[1] for call in own], "µs", at_most(60))
    if len(peer) == len(own):
        yield Row("posthog-python capture, p50", [call[0] for call in peer], "µs")
        yield Row("posthog-python capture, p99", [call[1] for call in peer], "µs")
        yield Row("posthog-python over ours, p50", ratios([call[0] for call in peer], p50), "times", at_least(15))
    servers, topic = ",".join(service.bootstrap_servers), service.new_topic()
    rounds = [first_calls(servers, topic, FIRST_CALLS) for _ in range(REPEATS)]
    yield Row("first call of a process, p50", [statistics.median(one) for one in rounds], "ms")
    yield Row("first call of a process, p99", [p99(one) for one in rounds], "ms", below(1))
    if (peers_first := peers_first_calls(REPEATS * FIRST_CALLS)) is not None:
        yield Row("posthog-python's first capture, p50", [statistics.median(peers_first)], "ms")
        yield Row("posthog-python's first capture, p99", [p99(peers_first)], "ms")
    yield Row("send_telemetry, disabled", disabled_microseconds(REPEATS), "µs", below(0.5))
    wall, cpu = import_milliseconds()
    yield Row("import flowise_telemetry", wall, "ms", below(30))
    yield Row("  CPU time of it", cpu, "ms")
    yield Row("  where logging, dataclasses, queue are there", import_milliseconds(after=COMMON)[1], "ms CPU")


def rate_rows(service: KafkaService) -> Iterator[Row]:
    """What goes through, each measured in turn, so that what else the machine does hits all of them."""
    reached: dict[str, list[float]] = {}
    for client in rates.CLIENTS:
        records = rates.ready_made(EVENTS[client])
        rounds = [
            (
                rates.bare(service, client, records),
                rates.bare(service, client, records, delivery=True),
                rates.transport(service, client, records),
                rates.whole(service, client, len(records)),
            )
            for _ in range(REPEATS)
        ]
        speeds = [[rate.per_second for rate in kind] for kind in zip(*rounds, strict=True)]
        costs = [[rate.cpu_us for rate in kind] for kind in zip(*rounds, strict=True)]
        reached[client] = speeds[3]
        names = (f"{client} alone", "  and told of each delivery", "our transport over it", "the whole producer")
        for name, speed in zip(names, speeds, strict=True):
            yield Row(name, speed, "events/s")
        for name, cost in zip(names, costs, strict=True):
            yield Row(f"{name}, CPU", cost, "µs/event")
        yield Row("transport, of the client alone", ratios(speeds[2], speeds[0]), "", at_least(0.8))
        yield Row("  of the client that is told", ratios(speeds[2], speeds[1]), "")
        yield Row("producer, of the client alone", ratios(speeds[3], speeds[0]), "", at_least(0.8))
    faster = ratios(reached["librdkafka"], reached["kafka-python"])
    yield Row("librdkafka over kafka-python", faster, "times", at_least(5))


def outage_rows() -> Iterator[Row]:
    """What an hour without a broker costs."""
    bound = Limits().buffer_max_bytes / 1_048_576
    for client in rates.CLIENTS:
        grown = [outage_mebibytes(client) for _ in range(REPEATS)]
        yield Row(f"growth in an hour without broker, {client}", grown, "MiB", at_most(bound))


def main() -> None:
    """Prints the tables."""
    service, _ = start_kafka()
    try:
        print_table("the app's thread", call_rows(service))
        print_table("throughput to a real broker", rate_rows(service))
    finally:
        service.stop()
    print_table("memory", outage_rows())


if __name__ == "__main__":
    main()
