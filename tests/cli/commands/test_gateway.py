"""``gateway`` as a process: what it took in is on the topic, whatever becomes of it and of the brokers."""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import socket
import ssl
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry import Telemetry
from flowise_telemetry.encoding.encoder import Encoded, Encoder
from flowise_telemetry_schemas import catalog, codec
from flowise_telemetry_transport import open_reader
from flowise_telemetry_transport.gateway.wire import CONTENT_TYPE, WireRecord, encode_batch
from tests.cli.in_process import run_command
from tests.cli.program import start
from tests.cli.service_manager import ServiceManager
from tests.gateway.conftest import KEY, tool
from tests.producer.samples import is_control, tool_created
from tests.services.certificates import Authority
from tests.services.kafka import KafkaService
from tests.thoroughness import KILL_ROUNDS

NOWHERE = "127.0.0.1:1"


@contextmanager
def gateway(folder: Path, *options: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run one until the end of the context; yield its process and its port."""
    environ = {"FLOWISE_TELEMETRY_GATEWAY_KEYS": KEY, **variables}
    process = start("gateway", "--address", "127.0.0.1:0", "--json", *options, folder=folder, env=environ)
    assert process.stderr is not None
    try:
        said = ""
        while (match := re.search(r"serving https?://127\.0\.0\.1:(\d+)", said)) is None:
            line = process.stderr.readline()
            assert line, said
            said += line
        yield process, int(match[1])
    finally:
        process.kill()
        process.communicate()


def post(port: int, path: str, body: bytes, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def batch(first: int, events: int) -> bytes:
    return json.dumps({"api_key": KEY, "batch": [tool(number) for number in range(first, first + events)]}).encode()


def values_on(kafka: KafkaService, topic: str, count: int, *, distinct: bool = False) -> list[bytes]:
    """The events of the topic, once there are so many, or so many different ones."""
    reader = open_reader(kafka.settings())
    reader.assign(dict.fromkeys(reader.partitions_of(topic), 0))
    found: list[bytes] = []
    while len(set(found) if distinct else found) < count:
        polled = reader.poll(timeout_seconds=60.0, max_records=500)
        assert polled, f"{len(found)} of {count} arrived"
        found += [record.value or b"" for record in polled if not is_control(record)]
    reader.close(timeout_seconds=5.0)
    return found


@pytest.mark.slow  # a kill, and two processes one after the other
@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_events_survive_a_kill_without_a_broker_and_records_are_handed_on(
    kafka: KafkaService, tmp_path: Path, client: str
) -> None:
    topic = kafka.new_topic()
    spool = ("--spool-dir", str(tmp_path / "spool"), "--client", client, "--topic", topic)
    with gateway(tmp_path, *spool, "--bootstrap-servers", NOWHERE) as (process, port):
        for number in range(4):
            assert post(port, "/batch/", batch(10 * number, 10)) == (200, {"status": 1})
        process.kill()
    servers = ",".join(kafka.bootstrap_servers)
    with gateway(tmp_path, *spool, "--bootstrap-servers", servers) as (process, port):
        assert post(port, "/batch/", batch(30, 20)) == (200, {"status": 1})  # ten of them once more
        found = values_on(kafka, topic, 60)
        ids = [codec.decode(value, catalog())[1]["eventId"] for value in found]
        assert set(ids) == {tool(number)["uuid"] for number in range(50)}
        key = codec.decode(found[0], catalog())[1]["eventId"].encode()
        sent = encode_batch([WireRecord(key, found[0]), WireRecord(key, b"no record")])
        status, answer = post(
            port, "/v1/records", sent, Authorization=f"Bearer {KEY}", **{"Content-Type": CONTENT_TYPE}
        )
        assert (status, answer["accepted"], answer["refused"][0]["reason"]) == (200, 1, "unknown_framing")
        assert values_on(kafka, topic, 61).count(found[0]) == 2
        process.terminate()
        told, _ = process.communicate(timeout=60)
    assert json.loads(told) | {"accepted": 20, "records": 1, "records_refused": 1, "dropped": 0} == json.loads(told)
    assert process.returncode == 0


@pytest.mark.slow  # a gateway is killed again and again
def test_streams_are_whole_and_byte_for_byte_after_kills(
    kafka: KafkaService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A producer's answers are lost at moments that nobody chose; what it sends again is the same bytes."""
    encoded: dict[str, bytes] = {}
    encode = Encoder.encode

    def noted(self: Encoder, *arguments: Any) -> Encoded:
        made = encode(self, *arguments)
        encoded[made.event_id] = made.value
        return made

    monkeypatch.setattr(Encoder, "encode", noted)
    topic, dice = kafka.new_topic(), random.Random(int(os.environ.get("SEED", "17")))
    options = ("--topic", topic, "--bootstrap-servers", ",".join(kafka.bootstrap_servers), "--client", "librdkafka")
    sent = 0
    with ExitStack() as opened, ExitStack() as running:
        _, port = running.enter_context(gateway(tmp_path, *options))
        environ = {"FLOWISE_TELEMETRY_CONFIG_DIR": str(tmp_path / "app")}
        telemetry = Telemetry(
            app_version="3.0.1",
            environ=environ,
            endpoint=f"http://127.0.0.1:{port}",
            project_key=KEY,
            spool_dir=tmp_path / "app-spool",
            first_run_notice=False,
        )
        opened.callback(telemetry.close, timeout_seconds=1.0)
        for _ in range(KILL_ROUNDS // 2):
            enough, then = telemetry.stats().sent + dice.randrange(1, 700), dice.randrange(100)
            while then > 0:
                telemetry.send_telemetry(tool_created(sent))
                sent += 1
                then -= telemetry.stats().sent >= enough
                time.sleep(0.0005)
            running.close()
            running.enter_context(gateway(tmp_path, *options, "--address", f"127.0.0.1:{port}"))
        assert telemetry.flush(120.0)
        stats = telemetry.stats()
        assert (stats.sent, stats.dropped) == (sent, {})
        found = values_on(kafka, topic, sent, distinct=True)
    assert set(found) <= set(encoded.values())
    fields = [codec.decode(value, catalog())[1] for value in set(found)]
    assert sorted(event["sequence"] for event in fields) == list(range(sent))
    assert {event["streamId"] for event in fields} == {stats.stream_id}


def test_a_dry_run_shows_what_would_be_kept_and_needs_no_broker(tmp_path: Path) -> None:
    name = f"test-{uuid.uuid4().hex}"
    manager = ServiceManager(f"\0{name}")
    with gateway(tmp_path, "--dry-run", NOTIFY_SOCKET=f"@{name}") as (process, port):
        assert manager.message() == {"STATUS": "ready", "WATCHDOG": "1", "READY": "1"}
        document = {"api_key": KEY, "batch": [tool(1), {**tool(2), "event": "sk-live-secret"}]}
        assert post(port, "/batch/", json.dumps(document).encode())[0] == 200
        process.terminate()
        told, logged = process.communicate(timeout=60)
    assert manager.messages()[-1] == {"STATUS": "ready", "WATCHDOG": "1", "STOPPING": "1"}
    manager.close()
    *lines, counts = told.splitlines()
    shown = [json.loads(line) for line in lines]
    assert {"dropped": "unknown", "message": "is of no event that is known"} in shown
    (kept,) = (line["properties"] for line in shown if "event" in line)
    assert (kept["eventId"], kept["toolName"]) == (tool(1)["uuid"], "tool_1")
    assert json.loads(counts)["unknown_events"] == 1
    assert "sk-live" not in told + logged


def test_over_tls_no_word_of_a_request_is_in_the_log(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    mark = "-----BEGIN CERTIFICATE"
    key, _, chain = authority.issue("gateway").read_text().partition(mark)
    (tmp_path / "key.pem").write_text(key)
    (tmp_path / "chain.pem").write_text(mark + chain)
    trusting = ssl.create_default_context(cafile=authority.file)
    wrong = b"GET /sk-live-path HTTP/1.1\r\nHost: sk-live-host\r\nsk-live-header\r\n\r\n"
    with gateway(tmp_path, "--dry-run", "--tls-certificate", "chain.pem", "--tls-key", "key.pem") as (process, port):
        for context in (None, trusting):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as opened:
                connection = context.wrap_socket(opened, server_hostname="localhost") if context else opened
                connection.sendall(wrong)
                with suppress(ConnectionError):
                    assert not connection.recv(1_000).startswith(b"HTTP/1.1 2")
                connection.close()
        for path, given in (("/batch/?sk-live=1", "sk-live-key"), ("/sk-live", KEY), ("/batch/", KEY)):
            client = http.client.HTTPSConnection("localhost", port, timeout=60, context=trusting)
            document = {"api_key": given, "batch": [tool(1, distinct_id="sk-live-org")]}
            client.request("POST", path, json.dumps(document), {"X-Of-Theirs": "sk-live-header"})
            status = client.getresponse().status
            client.close()
        assert status == 200
        process.terminate()
        _, logged = process.communicate(timeout=60)
    assert not [text for text in ("sk-live", "127.0.0.1", "localhost", KEY) if text in logged], logged


@pytest.mark.parametrize(
    ("options", "variables", "status", "told"),
    [
        (("--bootstrap-servers", NOWHERE), {}, 2, "there is no project key"),
        (("--dry-run", "--address", "nowhere"), {"FLOWISE_TELEMETRY_GATEWAY_KEYS": KEY}, 2, "--address"),
        (("--dry-run", "--tls-key", "key.pem"), {"FLOWISE_TELEMETRY_GATEWAY_KEYS": KEY}, 2, "--tls-key"),
        (("--dry-run", "--tls-certificate", "a.pem"), {"FLOWISE_TELEMETRY_GATEWAY_KEYS": KEY}, 2, "--tls-certificate"),
        (("--dry-run", "--keys-file", "none"), {}, 2, "--keys-file: none"),
        ((), {"FLOWISE_TELEMETRY_GATEWAY_KEYS": KEY}, 2, "BOOTSTRAP_SERVERS"),
        (("--dry-run",), {"FLOWISE_TELEMETRY_GATEWAY_KEYS": KEY, "DO_NOT_TRACK": "1"}, 3, "telemetry is off"),
    ],
)
def test_a_gateway_that_cannot_work_says_why(
    tmp_path: Path, options: tuple[str, ...], variables: dict[str, str], status: int, told: str
) -> None:
    done = run_command("gateway", "--address", "127.0.0.1:0", *options, folder=tmp_path, env=variables)
    assert done.status == status
    assert told in done.stderr
    assert KEY not in done.stderr
