"""Metrics and health of an in-memory consumer, as Prometheus and probes see them."""

from __future__ import annotations

import http.client
import logging
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from flowise_telemetry_consumer import BatchLimits, ConsumerCounters, ConsumerSettings, SinkUnavailableError
from flowise_telemetry_consumer.monitoring.health import MAX_POLL_AGE_SECONDS
from flowise_telemetry_consumer.monitoring.http import parse_address, status_server
from flowise_telemetry_consumer.monitoring.metrics import PREFIX
from flowise_telemetry_consumer.monitoring.partitions import LAG_SECONDS
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_schemas.codec import MARKER
from tests.consumer.service.running import wait_until
from tests.consumer.world import GROUP, TOPIC, StopWhen, World, value_of
from tests.schemas.records import ENVELOPE

SETTINGS = ConsumerSettings(topic=TOPIC, group=GROUP, batch=BatchLimits(rows=10))


class Client:
    """A client of a status server."""

    def __init__(self, address: str) -> None:
        self._address = address.removeprefix("http://")

    def get(self, path: str, *, method: str = "GET") -> tuple[int, str]:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def hang_up(self) -> None:
        """Send half a request and reset the connection."""
        host, _, port = self._address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(b"GET /met")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def metrics(self) -> dict[str, float]:
        status, text = self.get("/metrics")
        assert status == 200
        samples = re.findall(rf"^{PREFIX}(\S+(?:\{{[^}}]*\}})?) (\S+)$", text, re.MULTILINE)
        return {name: float(value) for name, value in samples}

    def exposed(self) -> set[tuple[str, str, str]]:
        """Return name, type and labels of every series of ours."""
        _, text = self.get("/metrics")
        types = dict(re.findall(rf"^# TYPE {PREFIX}(\S+) (\S+)$", text, re.MULTILINE))
        helped = set(re.findall(rf"^# HELP {PREFIX}(\S+) \S", text, re.MULTILINE))
        assert helped == set(types)
        series = re.findall(rf"^{PREFIX}([a-z_]+)(?:\{{(.*)\}})? \S+$", text, re.MULTILINE)
        labels = {(name, ",".join(re.findall(r'(\w+)="', inside))) for name, inside in series}
        return {(name, types.get(name) or types[name.rpartition("_")[0]], inside) for name, inside in labels}


@contextmanager
def served(counters: ConsumerCounters, world: World) -> Iterator[Client]:
    with status_server("127.0.0.1:0", counters, clock=world.clock) as address:
        yield Client(address)


@pytest.mark.slow
def test_the_counts_of_a_consumer() -> None:
    world = World()
    world.clock.wall_ms = ENVELOPE.fields()["occurredAt"] + 5_000
    world.send_good(24)
    world.send_bad()
    world.send_state()
    consumer = world.consumer(settings=SETTINGS)
    with served(consumer.counters, world) as client:
        assert client.metrics()["records_consumed_total"] == 0
        consumer.run(StopWhen(world.all_committed))
        found = client.metrics()
        assert found["records_consumed_total"] == 26
        assert found['events_written_total{event="tool_created"}'] == 4
        assert not any("stream_state" in name for name in found if name.startswith("events_"))
        assert found['control_records_total{record="stream_state"}'] == 1
        assert found['dead_letters_total{reason="unknown_framing"}'] == 1
        assert found["commits_total"] == found["flush_seconds_count"] == 3
        assert found['flush_seconds_bucket{le="+Inf"}'] == 3
        assert found["flush_seconds_sum"] > 0
        assert found["rebalances_total"] == 1
        assert found["partitions_assigned"] == 2
        assert found["partitions_paused"] == 0
        assert found["last_poll_age_seconds"] == 0
        assert found["event_age_seconds"] == 5
        assert found["last_commit_timestamp_seconds"] == world.clock.wall_ms / 1000
        world.clock.now += 7
        assert client.metrics()["last_poll_age_seconds"] == 7
        assert "process_resident_memory_bytes" in client.get("/metrics")[1]

    again = world.consumer(settings=SETTINGS)
    world.sent.clear()
    world.broker.group(GROUP).committed.clear()
    again.run(StopWhen(lambda: again.counters.consumed == 26))
    with served(again.counters, world) as client:
        assert client.metrics()['events_deduplicated_total{event="tool_created"}'] == 4, "each consumer has its own"


EXPOSED = {
    ("records_consumed_total", "counter", ""),
    ("events_written_total", "counter", "event"),
    ("events_deduplicated_total", "counter", "event"),
    ("control_records_total", "counter", "record"),
    ("dead_letters_total", "counter", "reason"),
    ("commits_total", "counter", ""),
    ("commits_rejected_total", "counter", ""),
    ("retries_total", "counter", ""),
    ("records_left_total", "counter", ""),
    ("records_expired_total", "counter", ""),
    ("records_reread_total", "counter", ""),
    ("oldest_record_age_seconds", "gauge", ""),
    ("brokers_reachable", "gauge", ""),
    ("topics_recreated_total", "counter", ""),
    ("rebalances_total", "counter", ""),
    ("flush_seconds_bucket", "histogram", "le"),
    ("flush_seconds_count", "histogram", ""),
    ("flush_seconds_sum", "histogram", ""),
    ("partitions_assigned", "gauge", ""),
    ("partitions_paused", "gauge", ""),
    ("partition_lag_records", "gauge", "partition,topic"),
    ("partition_held_back_records", "gauge", "partition,topic"),
    ("build_info", "gauge", "python,version"),
    ("lag_age_seconds", "gauge", ""),
    ("last_commit_timestamp_seconds", "gauge", ""),
    ("last_poll_age_seconds", "gauge", ""),
    ("event_age_seconds", "gauge", ""),
}
BUCKETS = "0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5 5.0 10.0 30.0 60.0 +Inf"


def test_names_types_and_labels_are_these_and_no_others() -> None:
    world = World()
    ids = world.send_good(24)
    world.send_bad()
    world.send_again(ids[0])
    world.send_state()
    consumer = world.consumer(settings=SETTINGS)
    with served(consumer.counters, world) as client:
        client.metrics()
        consumer.run(StopWhen(world.all_committed))
        assert client.exposed() == EXPOSED
        text = client.get("/metrics")[1]
    assert re.findall(rf'^{PREFIX}flush_seconds_bucket{{le="(.*)"}}', text, re.MULTILINE) == BUCKETS.split()


def test_what_cannot_be_known_is_left_out() -> None:
    world = World()
    with served(world.consumer(settings=SETTINGS).counters, world) as client:
        names = {name for name, _, _ in client.exposed()}
    assert not names & {"event_age_seconds", "partition_lag_records", "events_written_total"}


def test_batches_are_counted_without_anyone_who_serves_them() -> None:
    world = World()
    world.send_good(5)
    counters = world.consumer(settings=SETTINGS).run(StopWhen(world.all_committed))
    assert (counters.batches, counters.flush_seconds) == (1, None)


@pytest.mark.slow
def test_lag_is_looked_at_while_someone_asks() -> None:
    world = World(partitions=1)
    consumer = world.consumer(settings=SETTINGS)
    name = f'partition_lag_records{{partition="0",topic="{TOPIC}"}}'
    with served(consumer.counters, world) as client:
        consumer.run(StopWhen(lambda: world.clock.now > 1_000 + 2 * LAG_SECONDS))
        assert name not in client.metrics()
    consumer = world.consumer(settings=SETTINGS)
    with served(consumer.counters, world) as client:
        client.metrics()
        world.sink.failures = [SinkUnavailableError("gone fishing")] * 100
        world.send_good(30)
        seen: list[float] = []

        def between_turns() -> bool:
            if consumer.counters.outage:
                seen.append(client.metrics().get(name, 0))
            return len(seen) > 100

        consumer.run(StopWhen(between_turns))
        assert seen[-1] == 30, "ten are in hand and not committed, the rest is not polled while the sink is away"


def test_alive_and_ready() -> None:
    world = World()
    world.send_good(5)
    consumer = world.consumer(settings=SETTINGS)
    answers: list[tuple[int, str]] = []
    with served(consumer.counters, world) as client:
        assert client.get("/healthz") == (200, "ok\n")
        status, why = client.get("/readyz")
        assert status == 503
        assert why.startswith("no partitions are assigned")
        assert why.count("\n") == 1
        world.sink.failures = [SinkUnavailableError("gone fishing")] * 2

        def between_turns() -> bool:
            answers.append(client.get("/readyz"))
            assert client.get("/healthz") == (200, "ok\n"), "a consumer that waits for its sink is alive"
            return world.all_committed()

        consumer.run(StopWhen(between_turns))
        assert (503, "waiting: gone fishing\n") in answers
        assert answers[-1] == (200, "ok\n")
        world.clock.now += MAX_POLL_AGE_SECONDS + 1
        assert client.get("/healthz") == (503, "the last poll was 61 s ago\n")
        assert client.get("/readyz")[0] == 503
        assert client.get("/")[0] == 404


@pytest.mark.parametrize(("path", "watched"), [("/metrics", True), ("/readyz", True), ("/healthz", False)])
def test_whoever_asks_for_metrics_or_readiness_has_the_ends_of_partitions_looked_up(path: str, watched: bool) -> None:
    """Else a partition without a leader is read by nobody, and the consumer is ready."""
    world = World()
    consumer = world.consumer(settings=SETTINGS)
    with served(consumer.counters, world) as client:
        client.get(path)
    assert consumer.counters.watched is watched


def test_a_client_that_hangs_up_leaves_no_trace_on_stderr(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG, "flowise_telemetry")
    world = World()
    with served(world.consumer(settings=SETTINGS).counters, world) as client:
        client.hang_up()
        wait_until(lambda: "failed" in caplog.text, "the request is given up")
        assert client.get("/healthz")[0] == 200
        assert [client.get(path, method="POST")[0] for path in ("/metrics", "/healthz", "/readyz")] == [405] * 3
    assert "Traceback" not in capfd.readouterr().err


SECRET = "planted-secret-prompt"


def test_no_value_gets_into_a_metric_or_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world = World()
    world.send_good(20)
    for value in (SECRET.encode(), MARKER + SECRET.encode(), value_of(3)[:10] + SECRET.encode()):
        world.send_bad(value, headers=((SECRET, SECRET.encode()),))
    world.sink.failures = [SinkUnavailableError("gone fishing")]
    consumer = world.consumer(settings=SETTINGS)
    with served(consumer.counters, world) as client:
        consumer.run(StopWhen(world.all_committed))
        assert consumer.counters.dead.total() == 3
        texts = [client.get(path)[1] for path in ("/metrics", "/healthz", "/readyz")]
    values = {SECRET, *world.accepted()}
    values |= {
        str(value)
        for rows in world.sink.rows.values()
        for row in rows.values()
        for name, value in row.items()
        if isinstance(value, str) and len(value) > 8
    }
    assert len(values) > 20
    for text in (*texts, caplog.text, repr(consumer.counters)):
        assert [value for value in values if value in text] == []


@pytest.mark.parametrize("text", ["", "9464", ":9464", "host:", "host:99999", "host:port"])
def test_an_address_that_is_none_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"write host:port, such as 127\.0\.0\.1:9464"):
        parse_address(text)


def test_addresses() -> None:
    assert parse_address("0.0.0.0:9464") == ("0.0.0.0", 9464)
    assert parse_address("[::1]:0") == ("::1", 0)


def test_a_port_that_is_taken_is_told() -> None:
    with status_server("127.0.0.1:0", ConsumerCounters()) as address:
        taken = address.removeprefix("http://")
        with (
            pytest.raises(ConfigurationError, match=f"HTTP address {taken}: "),
            status_server(taken, ConsumerCounters()),
        ):
            pass
