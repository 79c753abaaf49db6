"""Bounds of what a client can make a gateway do."""

from __future__ import annotations

import gzip
import json
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from flowise_telemetry_gateway import GatewayLimits, ProjectKeys
from flowise_telemetry_gateway.rates import Rates
from flowise_telemetry_gateway.serving.idle import IdleConnections
from flowise_telemetry_schemas import ConfigurationError
from tests.gateway.conftest import KEY, REVOKED, MakeGateway, tool

SMALL = GatewayLimits(
    body_max_bytes=4_096, decompressed_max_bytes=8_192, events_max=10, connections_max=3, bodies_max_bytes=10_000
)


def test_too_much_is_refused_before_it_is_in_memory(make_gateway: MakeGateway) -> None:
    world = make_gateway(SMALL)
    bomb = gzip.compress(b" " * 1_000_000)
    many = json.dumps({"api_key": KEY, "batch": [{}] * 11}).encode()
    for body, status in (
        (b" " * 4_097, 413),
        (bomb, 413),
        (many, 413),
        (gzip.compress(b"{}")[:-1], 400),
        (bomb + b"x", 413),
    ):
        answered = world.request("POST", "/batch/", body)
        assert answered.status == status
        assert world.counters.bodies_bytes == 0
    whole = gzip.compress(json.dumps({"api_key": KEY, "batch": [tool()]}).encode())
    assert world.request("POST", "/batch/", whole).status == 200  # without a header that says so
    assert world.request("POST", "/batch/", whole + b"rest").status == 400
    for encoding, status in (("br", 415), ("gzip", 400)):
        assert world.request("POST", "/batch/", b"{}", {"Content-Encoding": encoding}).status == status


def test_a_body_that_does_not_say_how_long_it_is_is_bounded_too(make_gateway: MakeGateway) -> None:
    world = make_gateway(SMALL)
    with socket.create_connection(("127.0.0.1", world.port), timeout=60) as connection:
        connection.sendall(b"POST /batch/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"1000\r\n" + b" " * 4_096 + b"\r\n1\r\n \r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413")
    assert world.counters.bodies_bytes == 0


def test_more_connections_than_allowed_are_told_to_come_again(make_gateway: MakeGateway) -> None:
    world = make_gateway(SMALL)
    idle = [socket.create_connection(("127.0.0.1", world.port), timeout=60) for _ in range(4)]
    for connection in idle:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")  # and no end of it
    try:
        refused = world.request("GET", "/healthz")
        assert (refused.status, refused.json["error"], refused.headers["retry-after"]) == (503, "unavailable", "5")
        assert refused.headers["connection"] == "close"
    finally:
        for connection in idle:
            connection.close()


@pytest.mark.slow
def test_a_connection_without_a_request_is_closed(make_gateway: MakeGateway) -> None:
    world = make_gateway(GatewayLimits(body_seconds=0.2))
    with socket.create_connection(("127.0.0.1", world.port), timeout=60) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")  # and no end of it
        assert connection.recv(100) == b""
    with socket.create_connection(("127.0.0.1", world.port), timeout=60) as connection:
        connection.sendall(b"POST /batch/ HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_only_connections_that_wait_are_closed() -> None:
    class Connection:
        def __init__(self) -> None:
            self.cycle: SimpleNamespace | None = None
            self.transport = SimpleNamespace(close=lambda: closed.append(self))

    now = 0.0
    closed: list[Connection] = []
    first, busy, kept = Connection(), Connection(), Connection()
    idle = IdleConnections(first_seconds=30.0, seconds=80.0, clock=lambda: now)
    idle.look([first, busy, kept])
    busy.cycle, kept.cycle = SimpleNamespace(response_complete=False), SimpleNamespace(response_complete=True)
    now = 31.0
    idle.look([first, busy, kept])
    assert closed == [first]
    kept.cycle = SimpleNamespace(response_complete=True)  # another request
    now = 100.0
    idle.look([busy, kept])
    assert closed == [first]
    now = 181.0
    idle.look([busy, kept])
    assert closed == [first, kept]


def test_who_reads_no_answer_is_cut_off() -> None:
    now = 0.0
    told: list[str] = []
    transport = SimpleNamespace(close=lambda: told.append("close"), abort=lambda: told.append("abort"))

    class Connection:
        cycle = SimpleNamespace(response_complete=False)

        def __init__(self) -> None:
            self.transport = transport

    connections = [Connection()]
    idle = IdleConnections(first_seconds=30.0, seconds=80.0, busy_seconds=50.0, clock=lambda: now)
    idle.look(connections)
    now = 50.0
    idle.look(connections)
    assert told == []
    now = 51.0
    idle.look(connections)
    assert told == ["abort"]
    connections = [Connection()]  # answered, and what is left of the answer is not read
    connections[0].cycle = SimpleNamespace(response_complete=True)
    for later in (60.0, 141.0, 142.0):
        now = later
        idle.look(connections)
    assert told == ["abort", "close", "abort"]


def test_a_rate_that_is_exceeded_says_when_to_come_again(make_gateway: MakeGateway) -> None:
    limits = GatewayLimits(instance_events_per_second=0.01, burst_seconds=200.0)  # two at once
    world = make_gateway(limits)
    batch = {"api_key": KEY, "batch": [tool(1), tool(2)]}
    assert world.post("/batch/", batch).status == 200
    refused = world.post("/batch/", {"api_key": KEY, "batch": [tool(3)]})
    assert (refused.status, refused.json["error"]) == (429, "rate_limited")
    assert 1 <= int(refused.headers["retry-after"]) <= 100
    assert world.post("/batch/", {"api_key": KEY, "batch": [tool(3, distinct_id="org-2")]}).status == 200


def test_buckets_fill_again_and_the_oldest_is_forgotten() -> None:
    now = 0.0
    rates = Rates(2.0, burst_seconds=5.0, max_names=2, clock=lambda: now)
    assert rates.wait_seconds({"a": 10}) == 0
    assert rates.wait_seconds({"a": 1, "b": 1}) == 1
    now = 0.5
    assert rates.wait_seconds({"a": 1, "b": 1}) == 0
    assert rates.wait_seconds({"b": 9}) == 0  # of the refused attempt nothing was taken
    assert rates.wait_seconds({"c": 1}) == 0
    assert rates.wait_seconds({"a": 10}) == 0  # forgotten, and full again
    assert rates.wait_seconds({"d": 1_000}) == 0  # more than it ever holds, from a full one
    assert rates.wait_seconds({"d": 1_000}) == 5
    assert Rates(0.0, burst_seconds=5.0, max_names=2).wait_seconds({"a": 1_000_000}) == 0


def test_keys_are_given_and_revoked_without_a_restart(tmp_path: Path) -> None:
    now = 0.0
    file = tmp_path / "keys"
    file.write_text(f"# of releases\nv3: {KEY}\n")
    keys = ProjectKeys(file=file, clock=lambda: now)
    found = keys.find(KEY)
    assert found is not None
    assert (found.label, found.revoked) == ("v3", False)
    file.write_text(f"revoked v3: {KEY}  # it leaked\nv4: {REVOKED}\n")
    now = 1.0
    found = keys.find(KEY)
    assert found is not None
    assert found.revoked
    assert keys.find(REVOKED) is not None
    file.write_text("short\n")
    now = 2.0
    assert keys.find(REVOKED) is not None
    file.unlink()
    now = 3.0
    assert keys.find(REVOKED) is not None


def test_a_key_is_revoked_wherever_a_line_says_so(tmp_path: Path) -> None:
    for lines in (f"revoked v3: {KEY}\nv3: {KEY}", f"v3: {KEY}\nrevoked v3: {KEY}"):
        found = ProjectKeys(f"{lines}\nother: {REVOKED}").find(KEY)
        assert found is not None
        assert found.revoked


def test_a_file_of_too_many_keys_is_refused_and_not_cut(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"v3: {KEY}\n" + "#" * 1_048_576 + f"\nrevoked v3: {KEY}\n")
    with pytest.raises(ConfigurationError, match="more than 1 MiB"):
        ProjectKeys(file=file)


@pytest.mark.parametrize("text", ["", "# none", "short", f"revoked {KEY}", f"two words {KEY}"])
def test_keys_that_cannot_be_used_are_told_without_the_key(text: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        ProjectKeys(text)
    assert KEY not in str(told.value)


def test_metrics_are_for_those_who_have_the_token(make_gateway: MakeGateway) -> None:
    world = make_gateway(metrics_token=b"a-token-of-the-tests")
    assert world.request("GET", "/metrics").status == 401
    assert world.request("GET", "/metrics", headers={"Authorization": "Bearer a-token-of-the-tests"}).status == 200


def test_nothing_is_said_to_browsers_of_other_sites(make_gateway: MakeGateway) -> None:
    world = make_gateway()
    asked = {"Origin": "https://example.com", "Access-Control-Request-Method": "POST"}
    assert world.request("OPTIONS", "/batch/", headers=asked).status == 405
    answered = world.request("POST", "/batch/", json.dumps({"api_key": KEY, "batch": []}).encode(), asked)
    assert answered.status == 200
    assert [name for name in answered.headers if name.startswith("access-control") or name == "server"] == []


def test_a_small_body_of_very_many_values_is_refused_before_it_is_read(make_gateway: MakeGateway) -> None:
    world = make_gateway(GatewayLimits(values_max=1_000))
    for many in (
        b"[[]" + b",[]" * 1_000 + b"]",
        b"[" * 1_001,
        b'{"api_key":"' + KEY.encode() + b'","x":[0' + b",0" * 1_000,
    ):
        answered = world.request("POST", "/batch/", gzip.compress(many))
        assert (answered.status, answered.json["error"]) == (413, "too_large")
    assert world.post("/batch/", {"api_key": KEY, "batch": [tool(at) for at in range(50)]}).status == 200


def test_an_installation_over_its_rate_uses_up_no_key(make_gateway: MakeGateway) -> None:
    world = make_gateway(
        GatewayLimits(key_events_per_second=0.01, instance_events_per_second=0.0025, burst_seconds=400.0)
    )  # four at once of the key, one of an installation
    for status in (200, 429, 429, 429, 429):
        assert world.post("/batch/", {"api_key": KEY, "batch": [tool(1)]}).status == status
    for number in (2, 3, 4):
        document = {"api_key": KEY, "batch": [tool(number, distinct_id=f"org-{number}")]}
        assert world.post("/batch/", document).status == 200
    assert world.post("/batch/", {"api_key": KEY, "batch": [tool(5, distinct_id="org-5")]}).status == 429


def test_what_is_over_the_rate_of_a_key_is_not_even_read(make_gateway: MakeGateway) -> None:
    world = make_gateway(GatewayLimits(key_events_per_second=0.01, burst_seconds=200.0))  # two at once
    batch = {"api_key": KEY, "batch": [tool(1), tool(2, event="unknown")]}
    for status in (200, 429, 429):
        assert world.post("/batch/", batch).status == status
    assert world.counters.unknown_events == 1


def test_keys_of_the_same_label_have_a_rate_each(make_gateway: MakeGateway) -> None:
    keys = ProjectKeys(f"v3: {KEY}\nv3: {REVOKED}")
    world = make_gateway(GatewayLimits(key_events_per_second=0.01, burst_seconds=100.0), keys)
    for key, status in ((KEY, 200), (KEY, 429), (REVOKED, 200)):
        assert world.post("/batch/", {"api_key": key, "batch": [tool(1)]}).status == status


def test_no_path_leads_elsewhere(make_gateway: MakeGateway) -> None:
    world = make_gateway()
    for path in ("/healthz/", "/metrics/", "/v1/records/"):
        answered = world.request("GET", path, headers={"Host": "example.com"})
        assert answered.status in (404, 405)
        assert "location" not in answered.headers


def test_a_request_of_two_lengths_hides_no_other(make_gateway: MakeGateway) -> None:
    world = make_gateway()
    with socket.create_connection(("127.0.0.1", world.port), timeout=60) as connection:
        connection.sendall(
            b"POST /batch/ HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
        )
        with connection.makefile("rb") as answers:
            told = answers.read()
    assert told.startswith(b"HTTP/1.1 400")
    assert told.count(b"HTTP/1.1") == 1
