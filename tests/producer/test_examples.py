"""Every example in the documentation, run."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from flowise_telemetry.testing import TelemetryRecorder
from flowise_telemetry_schemas import catalog, codec
from flowise_telemetry_transport import TopicPartition, open_reader
from tests.producer.samples import ID, is_control
from tests.services.kafka import KafkaService

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
FLOW: dict[str, list[dict[str, Any]]] = {
    "nodes": [{"id": "chatOpenAI_0", "data": {"prompt": "a secret"}}, {"id": "pinecone_0"}],
    "edges": [{"source": "chatOpenAI_0", "target": "pinecone_0"}],
}


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def sent_to(kafka: KafkaService, topic: str, count: int) -> list[dict[str, Any]]:
    reader = open_reader(kafka.settings())
    partitions: tuple[TopicPartition, ...] = reader.partitions_of(topic)
    reader.assign(dict.fromkeys(partitions, 0))
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 20.0
    while len(found) < count and time.monotonic() < deadline:
        batch = reader.poll(timeout_seconds=0.5, max_records=500)
        found += [codec.decode(record.value, catalog())[1] for record in batch if not is_control(record)]
    reader.close()
    return found


@pytest.fixture
def app_environ(kafka: KafkaService, tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": ",".join(kafka.bootstrap_servers),
        "FLOWISE_TELEMETRY_TOPIC": kafka.new_topic(),
        "FLOWISE_TELEMETRY_CONFIG_DIR": str(tmp_path / "config"),
    }


def test_the_script(kafka: KafkaService, app_environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "flow.json").write_text(json.dumps(FLOW))
    command = [sys.executable, str(EXAMPLES / "script.py"), "flow.json"]
    done = subprocess.run(
        command, env=app_environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "sent 2, dropped 0\n", "")
    records = sent_to(kafka, app_environ["FLOWISE_TELEMETRY_TOPIC"], 2)
    assert [record["flowGraph"]["nodes"] for record in records] == [["chatOpenAI_0", "pinecone_0"]] * 2
    off = subprocess.run(
        command,
        env={**app_environ, "DO_NOT_TRACK": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "DO_NOT_TRACK in the environment" in off.stdout


def test_the_fastapi_app() -> None:
    pytest.importorskip("fastapi", reason="fastapi is not installed")
    pytest.importorskip("httpx2", reason="httpx2 is not installed")
    from fastapi.testclient import TestClient

    module = load("fastapi_app")
    with TelemetryRecorder(strict=False) as recorder:
        with TestClient(module.create_app(recorder.telemetry)) as client:
            tool = client.post("/tools", json={"name": "get_weather", "description": "a secret"}).json()
            client.post(f"/flows/{ID}/prediction", json={"text": "a secret", "flow": FLOW}).raise_for_status()
            client.post("/tools", json={"name": "two words", "description": ""}).raise_for_status()
        recorder.assert_sent("tool_created", times=1, toolId=tool["id"], toolName="get_weather")
        (prediction,) = recorder.assert_sent("prediction_sent", chatflowId=ID, type="EXTERNAL")
        assert "secret" not in str(prediction)
        recorder.assert_sent("tool_created", times=1, toolName=None)
        assert recorder.telemetry.stats().withheld == {"tool_created.toolName: not_a_name": 1}


def test_the_celery_workers(kafka: KafkaService, app_environ: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("celery", reason="celery is not installed")
    # Celery's own transport of files, so that no server is needed.
    folders = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"}
    for folder in set(folders.values()):
        (tmp_path / folder).mkdir()
    (tmp_path / "worker_app.py").write_text(
        f"from celery_app import app, telemetry, upsert\napp.conf.broker_transport_options = {folders!r}\n"
    )
    environ = {
        **app_environ,
        "PYTHONPATH": os.pathsep.join([str(EXAMPLES), str(tmp_path)]),
        "CELERY_BROKER_URL": "filesystem://",
    }
    send = (
        "from worker_app import upsert\n"
        f"for _ in range(40): upsert.delay({ID!r}, {FLOW['nodes']!r}, {FLOW['edges']!r}, 'pinecone_0')\n"
    )
    subprocess.run([sys.executable, "-c", send], env=environ, cwd=tmp_path, timeout=60, check=True)
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "--app", "worker_app", "worker", "--concurrency", "2", "--loglevel", "ERROR"],
        env=environ,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        records = sent_to(kafka, app_environ["FLOWISE_TELEMETRY_TOPIC"], 40)
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(20)
    assert len({record["eventId"] for record in records}) == len(records) == 40
    assert {record["stopNodeId"] for record in records} == {"pinecone_0"}
    for stream in {record["streamId"] for record in records}:
        numbers = sorted(record["sequence"] for record in records if record["streamId"] == stream)
        assert numbers == list(range(len(numbers)))
