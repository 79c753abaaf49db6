"""PostHog's own clients against a gateway; `make test-gateway` installs them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.gateway.conftest import KEY, MakeGateway, World
from tests.gateway.sending import decoded, send_at_once
from tests.producer.samples import stored_records

HERE = Path(__file__).parent
SCRIPT = Path(__file__).parents[2] / "deploy" / "node" / "flowise-telemetry.cjs"
CLIENTS = Path(os.environ["GATEWAY_CLIENTS"])

node_clients = pytest.mark.parametrize("version", ["3.6.3", "latest"])


def node(version: str, world: World, *arguments: str, before: tuple[str, ...] = (), **variables: str) -> str:
    """Run the app on a version of posthog-node, which is given no host."""
    folder = CLIENTS / f"node-{version}"
    app = folder / "app.cjs"
    shutil.copy(HERE / "app.cjs", app)
    environ = {
        "PATH": os.environ["PATH"],
        "NODE_OPTIONS": f"--require {SCRIPT}",
        "FLOWISE_TELEMETRY_ENDPOINT": f"http://127.0.0.1:{world.port}/",
        "POSTHOG_PUBLIC_API_KEY": KEY,
        **variables,
    }
    ran = subprocess.run(
        [*before, "node", str(app), *arguments], env=environ, capture_output=True, text=True, check=True, timeout=120
    )
    assert "ended" in ran.stdout
    return ran.stderr


@node_clients
def test_the_app_on_posthog_node(make_gateway: MakeGateway, version: str) -> None:
    world = make_gateway()
    node(version, world, "105", "3")
    assert world.telemetry.flush(30.0)
    found = decoded(world)
    assert Counter(event for event, _ in found) == {
        "chatflow_created": 15,
        "prediction_sent": 30,
        "vector_upserted": 30,
        "tool_created": 15,
        "assistant_created": 15,
    }
    assert len({fields["instanceId"] for _, fields in found}) == 3
    assert len({fields["eventId"] for _, fields in found}) == 105
    assert {fields["toolName"] for event, fields in found if event == "tool_created"} == {None}
    assert world.counters.refused_events == 1
    assert (world.counters.unknown_events, world.counters.unknown_properties, world.counters.invalid_events) == (
        0,
        0,
        0,
    )
    for text in (b"organisation", b"a-person", b"Jane"):
        assert not any(text in (record.value or b"") for record in stored_records(world.broker))


@node_clients
@pytest.mark.parametrize("variable", ["DISABLE_FLOWISE_TELEMETRY", "DO_NOT_TRACK"])
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_an_opt_out_opens_no_socket(make_gateway: MakeGateway, version: str, variable: str, tmp_path: Path) -> None:
    world = make_gateway()
    trace = tmp_path / "trace"
    strace = ("strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,socket", "-o", str(trace))
    node(version, world, "50", "3", before=strace, **{variable: "true"})
    assert [line for line in trace.read_text().splitlines() if "AF_INET" in line] == []
    assert world.counters.requests.total() == 0
    node(version, world, "1", "1", before=strace, **{variable: "false"})
    assert "AF_INET" in trace.read_text()  # where it sends, the trace shows it
    assert world.counters.accepted.total() == 1


@node_clients
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_an_endpoint_in_clear_opens_no_socket(make_gateway: MakeGateway, version: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    strace = ("strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,socket", "-o", str(trace))
    endpoint = {"FLOWISE_TELEMETRY_ENDPOINT": "http://telemetry.example.org"}
    said = node(version, make_gateway(), "50", "3", before=strace, **endpoint)
    assert "would send the project key in clear" in said
    assert [line for line in trace.read_text().splitlines() if "AF_INET" in line] == []


def test_posthog_python(make_gateway: MakeGateway) -> None:
    world = make_gateway()
    environ = {"PATH": os.environ["PATH"], "POSTHOG_PUBLIC_API_KEY": KEY}
    program = [
        str(CLIENTS / "python" / "bin" / "python"),
        str(HERE / "app.py"),
        f"http://127.0.0.1:{world.port}",
        "250",
        "3",
    ]
    ran = subprocess.run(program, env=environ, capture_output=True, text=True, check=True, timeout=120)
    assert ran.stdout == "ended\n"
    assert world.telemetry.flush(30.0)
    found = decoded(world)
    assert len(found) == len({fields["eventId"] for _, fields in found}) == 250
    assert len({fields["instanceId"] for _, fields in found}) == 3


def test_a_hundred_clients_at_once_keep_their_connections(make_gateway: MakeGateway, tmp_path: Path) -> None:
    world = make_gateway(spool_dir=tmp_path / "spool")
    statuses = send_at_once(world, clients=100, requests=20)
    assert statuses == {200: 2_000}
    assert world.telemetry.flush(60.0)
    assert len({fields["eventId"] for _, fields in decoded(world)}) == 2_000
