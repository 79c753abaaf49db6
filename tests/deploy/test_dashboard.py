"""The dashboard: of metrics that there are, and every query answered by a Prometheus that scraped a real run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client import generate_latest

from flowise_telemetry import Stats
from flowise_telemetry_consumer import BatchLimits, Consumer, ConsumerCounters, ConsumerSettings
from flowise_telemetry_consumer.clock import SystemClock
from flowise_telemetry_consumer.monitoring.http import status_server
from flowise_telemetry_consumer.monitoring.metrics import registry_of
from flowise_telemetry_consumer.sinks.sqlite import open_sqlite
from flowise_telemetry_gateway import Gateway, GatewayCounters
from flowise_telemetry_gateway.serving.metrics import metrics_text
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import InMemoryBroker, OutgoingRecord
from tests.cli.commands.test_gateway import batch, gateway, post
from tests.consumer.world import TOPIC, value_of
from tests.deploy.manifests import ROOT
from tests.services.ports import free_ports

DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/flowise-telemetry.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
_WAIT_SECONDS = 120.0


def of_consumer() -> set[str]:
    """The names that a consumer serves once it has written a batch."""
    counters = ConsumerCounters(event_age_seconds=1.0, committed_at_ms=1)
    text = generate_latest(registry_of(counters, SystemClock())).decode()
    return set(re.findall(r"^(flowise_telemetry_\w+)", text, re.MULTILINE)) | set(
        re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)
    )


def of_gateway() -> set[str]:
    """The names that a gateway serves."""
    counts = Stats(accepted=0, refused=0, recovered=0, sent=0, dropped={}, buffered=0, spooled=0, stream_id="")
    stub = SimpleNamespace(counters=GatewayCounters(), telemetry=SimpleNamespace(stats=lambda: counts))
    text = metrics_text(cast("Gateway", stub))[0].decode()
    return set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))


def test_queries_are_of_metrics_that_there_are() -> None:
    # The process's own are Linux's alone.
    there = of_consumer() | of_gateway() | {"process_resident_memory_bytes", "process_cpu_seconds_total"}
    for query in QUERIES:
        asked = set(re.findall(r"\b(?:flowise_telemetry|process)_\w+", query))
        assert asked, query
        assert asked <= there, query


def test_panels_say_what_they_show_and_do_not_overlap() -> None:
    cells = set[tuple[int, int]]()
    for panel in DASHBOARD["panels"]:
        box = panel["gridPos"]
        own = {(x, y) for x in range(box["x"], box["x"] + box["w"]) for y in range(box["y"], box["y"] + box["h"])}
        assert not own & cells, panel["title"]
        assert max(x for x, _ in own) < 24
        cells |= own
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert all(panel["description"] for panel in PANELS)
    alerts = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text("utf-8")
    named = {name for panel in PANELS for name in re.findall(r"Telemetry[A-Z]\w+", panel["description"])}
    assert all(f"alert: {name}\n" in alerts for name in named)


@contextmanager
def consumer(folder: Path) -> Iterator[tuple[str, ConsumerCounters, InMemoryBroker]]:
    """Run one in this process, with its metrics; yield their address, what it counts, and its broker."""
    broker = InMemoryBroker()
    stop = threading.Event()
    reader = broker.open_reader(group="flowise-telemetry")
    settings = ConsumerSettings(topic=TOPIC, batch=BatchLimits(age_seconds=0.1))
    sink = open_sqlite(f"sqlite:///{folder / 'sink.sqlite'}")
    running = Consumer(reader, sink, broker.open_writer(), catalog(), settings)
    thread = threading.Thread(target=running.run, args=(stop,))
    with status_server("127.0.0.1:0", running.counters) as address:
        thread.start()
        try:
            yield address, running.counters, broker
        finally:
            stop.set()
            thread.join()
            reader.close(timeout_seconds=5.0)


@contextmanager
def prometheus(program: str, folder: Path, *targets: str) -> Iterator[str]:
    """Scrape them every second; yield the address."""
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n"
        f"  - {{job_name: test, static_configs: [{{targets: {json.dumps(targets)}}}]}}\n"
    )
    with free_ports(1) as (port,):
        pass
    arguments = ("--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{port}")
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([program, *arguments], cwd=folder, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def answer(address: str, query: str) -> Any:
    parameters = urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(f"{address}/api/v1/query?{parameters}", timeout=60) as response:
        return json.loads(response.read())["data"]["result"]


def unanswered(address: str, queries: list[str]) -> list[str]:
    try:
        return [query for query in queries if not answer(address, query)]
    except urllib.error.HTTPError as error:
        if error.code != 503:  # it still starts
            raise RuntimeError(error.read()) from error
    except OSError:  # it does not listen yet
        pass
    return queries


def test_prometheus_answers_every_query(tmp_path: Path) -> None:
    """With a Prometheus (``make test-deploy``), of a consumer and a gateway that work meanwhile."""
    program = os.environ.get("PROMETHEUS")
    if program is None:
        assert QUERIES, "no Prometheus was named: their metrics alone are looked at"
        return
    queries = [query.replace("$__rate_interval", "10s") for query in QUERIES]
    with (
        consumer(tmp_path) as (where, counters, broker),
        gateway(tmp_path, "--dry-run") as (_, port),
        prometheus(program, tmp_path, where.removeprefix("http://"), f"127.0.0.1:{port}") as address,
    ):
        writer = broker.open_writer()
        deadline = time.monotonic() + _WAIT_SECONDS
        number, left = 0, queries
        while left:
            assert time.monotonic() < deadline, f"{left}\n{(tmp_path / 'prometheus.log').read_text()}"
            for value in (value_of(number), value_of(number), b"not one of ours"):
                writer.send(OutgoingRecord(TOPIC, b"key", value), lambda delivery, error: None)
            assert post(port, "/batch/", batch(number, 1))[0] == 200
            number += 1
            left = unanswered(address, left)
        assert counters.consumed > 0
