"""Secrets are planted wherever an app has them; none may be in the bytes of the topic."""

from __future__ import annotations

import getpass
import json
import logging
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry import Edge, FlowGraph, OriginType, PredictionSent, ToolCreated, VectorUpserted
from flowise_telemetry_transport import InMemoryBroker
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import ID, prediction_sent, stored_records, tool_created

PLANTED = "sk-proj-Zq8vPlantedSecret0007"


def words(text: str, *, at_least: int = 6) -> set[bytes]:
    return {text.encode()} if len(text) >= at_least else set()


def of_this_machine() -> set[bytes]:
    """What would tell whose machine it is."""
    found: set[bytes] = set()
    for text in (socket.gethostname(), platform.node(), str(Path.home()), getpass.getuser(), str(Path.cwd())):
        found |= words(text)
    for value in os.environ.values():
        found |= words(value, at_least=8)
    return found


def test_nothing_of_the_machine_or_the_app_is_in_the_topics_bytes(
    make_telemetry: MakeTelemetry,
    broker: InMemoryBroker,
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    working_directory: Path,
) -> None:
    environ |= {
        "OPENAI_API_KEY": PLANTED,
        "FLOWISE_TELEMETRY_KAFKA_SASL_PLAIN_PASSWORD": PLANTED,
        "FLOWISE_TELEMETRY_INSTANCE_SECRET": PLANTED,
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    (working_directory / ".env").write_text(f"OTHER_SECRET={PLANTED}\n")
    monkeypatch.setattr(sys, "argv", ["app", f"--token={PLANTED}"])
    logging.getLogger("app").error(PLANTED)
    nodes: list[dict[str, Any]] = [
        {
            "id": f"chatOpenAI_{number}",
            "data": {"label": PLANTED, "inputs": {"prompt": PLANTED}, "credential": PLANTED},
            "width": 300,
            PLANTED: PLANTED,
        }
        for number in range(3)
    ]
    edges: list[dict[str, Any]] = [
        {"source": "chatOpenAI_0", "target": "chatOpenAI_1", "data": {"label": PLANTED}, "id": PLANTED}
    ]
    telemetry = make_telemetry(topic="topic")
    telemetry.send_telemetry(
        PredictionSent(
            chatflow_id=ID,
            chat_id=ID,
            type=OriginType.INTERNAL,
            flow_graph=FlowGraph.from_react_flow(nodes, edges),
        )
    )
    telemetry.send_telemetry(tool_created())
    # Planted in the events themselves: two are dropped, of the others the value is withheld, hashed or renamed.
    for bad in (
        PredictionSent(chatflow_id=PLANTED, chat_id=ID, type=OriginType.INTERNAL, flow_graph=FlowGraph((), ())),
        PredictionSent(
            version=PLANTED, chatflow_id=ID, chat_id=ID, type=OriginType.INTERNAL, flow_graph=FlowGraph((), ())
        ),
        PredictionSent(
            chatflow_id=ID,
            chat_id=ID,
            type=OriginType.INTERNAL,
            flow_graph=FlowGraph((PLANTED, f"{PLANTED}_0", "zq8v_0"), (Edge(PLANTED, "zq8v_0"),)),
        ),
        PredictionSent(chatflow_id=ID, chat_id=PLANTED, type=OriginType.INTERNAL, flow_graph=FlowGraph((), ())),
        ToolCreated(tool_id=ID, tool_name=PLANTED),
        ToolCreated(tool_id=ID, tool_name=PLANTED.replace("-", "_")),
        VectorUpserted(
            chatflow_id=ID, type=OriginType.INTERNAL, flow_graph=FlowGraph((), ()), stop_node_id=f"{PLANTED}_0"
        ),
    ):
        telemetry.send_telemetry(bad)
    assert telemetry.flush(5.0)
    assert telemetry.stats().dropped == {"invalid": 2}
    records = stored_records(broker, "topic")
    assert len(records) == 7
    written = b"\n".join((r.key or b"") + (r.value or b"") + repr(r.headers).encode() for r in records)
    assert b"chatOpenAI_0" in written
    for secret in {PLANTED.encode(), PLANTED.encode().hex().encode(), b"zq8v"} | of_this_machine():
        assert secret.lower() not in written.lower()


def test_no_secret_is_in_any_log_line_or_repr(
    make_telemetry: MakeTelemetry, environ: dict[str, str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    environ |= {
        "FLOWISE_TELEMETRY_INSTANCE_SECRET": PLANTED,
        "FLOWISE_TELEMETRY_KAFKA_SASL_PLAIN_PASSWORD": PLANTED,
        "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    }
    telemetry = make_telemetry(writer_factory=None, first_run_notice=False)
    telemetry.send_telemetry(tool_created())
    telemetry.send_telemetry(
        PredictionSent(chatflow_id=PLANTED, chat_id=ID, type=OriginType.INTERNAL, flow_graph=FlowGraph((), ()))
    )
    telemetry.flush(0.5)
    telemetry.close(timeout_seconds=0.2)
    assert PLANTED not in caplog.text
    assert PLANTED not in repr(telemetry._settings)
    assert caplog.records


def test_the_sdk_asks_nothing_about_the_machine(tmp_path: Path) -> None:
    # Neither host name nor user nor network address is even looked up by the time that an event is encoded.
    code = """
import sys
asked = []
def look(event, arguments):
    if event in ("socket.gethostname", "socket.gethostbyname", "socket.getaddrinfo", "os.getlogin", "pwd.getpwuid"):
        asked.append(event)
    if event == "subprocess.Popen":
        asked.append(event)
sys.addaudithook(look)
from flowise_telemetry import Telemetry, ToolCreated
telemetry = Telemetry(app_version="3.0.1")
telemetry.send_telemetry(ToolCreated(tool_id="0e0f0a0b-1c2d-4e3f-8a9b-0123456789ab", tool_name="a_tool"))
assert telemetry.flush(10)
print(asked)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "FLOWISE_TELEMETRY_DEBUG": "1", "FLOWISE_TELEMETRY_CONFIG_DIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == []


def test_ids_tell_nothing_of_the_process(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    streams = set()
    for _ in range(3):
        telemetry = make_telemetry()
        telemetry.send_telemetry(prediction_sent())
        assert telemetry.flush(5.0)
        streams.add(telemetry.stats().stream_id)
    assert len(streams) == 3
