"""Records that KafkaJS with avsc, and Kafka's and Avro's own Java libraries write, before our consumer."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry_schemas import Catalog, EventSchema, catalog, codec
from flowise_telemetry_transport import TopicSpec, open_admin, open_reader, partition_for
from flowise_telemetry_transport.topics import dead_letter_topic_of
from tests.cli.program import start
from tests.producer.samples import wait_until
from tests.schemas.records import EVENTS, record_of
from tests.services.kafka import KafkaService
from tests.services.maven import fetched

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CLIENTS = Path(os.environ["LANGUAGE_CLIENTS"])
SCHEMAS = ROOT / "schemas" / "flowise_telemetry_schemas" / "avro"
ROUNDS = 20

Produce = Callable[[str, str, str], int]


def kafkajs(servers: str, topic: str, lines: str) -> int:
    program = CLIENTS / "produce.cjs"  # beside its modules
    program.write_text((HERE / "produce.cjs").read_text())
    return _run(["node", str(program), servers, topic], lines)


def java(servers: str, topic: str, lines: str) -> int:
    jars = [fetched(HERE.parent / "java" / name / "pom.xml", cache) for name, cache in _JARS.items()]
    classpath = ":".join(f"{folder}/*" for folder in jars)
    subprocess.run(["javac", "-cp", classpath, "-d", CLIENTS, HERE / "Produce.java"], check=True, timeout=300)
    return _run(["java", "-cp", f"{CLIENTS}:{classpath}", "Produce", servers, topic], lines)


_JARS = {"kafka": "kafka-4.1.0", "avro": "avro-1.12.0"}


def _run(command: list[str], lines: str) -> int:
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def made() -> list[tuple[EventSchema, dict[str, Any]]]:
    """Every event twenty times, numbered in one stream."""
    found = []
    for number in range(ROUNDS * len(EVENTS)):
        event = EVENTS[number % len(EVENTS)]
        record = record_of(event) | {"eventId": f"01890a5d-ac96-7000-8000-{number:012x}", "sequence": number}
        found.append((catalog().latest(event.EVENT), record))
    return found


def line_of(schema: EventSchema, record: dict[str, Any]) -> str:
    """The record in Avro's JSON, where a value of a union names its type."""
    source = json.loads((SCHEMAS / schema.event / f"v{schema.version}.avsc").read_text())
    unions = {field["name"] for field in source["fields"] if isinstance(field["type"], list)}
    values = {
        name: {"string": value} if name in unions and value is not None else value for name, value in record.items()
    }
    file = SCHEMAS / schema.event / f"v{schema.version}.avsc"
    return "\t".join([str(file), schema.fingerprint_hex, record["eventId"], json.dumps(values)])


@pytest.mark.real_broker
def test_records_of_other_languages_are_ours_to_the_consumer(kafka: KafkaService, tmp_path: Path) -> None:
    topic = kafka.new_topic()
    admin = open_admin(kafka.settings())
    admin.create_topic(TopicSpec(dead_letter_topic_of(topic), partitions=1))
    admin.close()
    servers = ",".join(kafka.bootstrap_servers)
    records = made()
    expected = {record["eventId"].encode(): codec.encode(schema, record) for schema, record in records}
    lines = "".join(line_of(schema, record) + "\n" for schema, record in records)

    produced: list[Produce] = [kafkajs, java]
    for produce in produced:
        assert produce(servers, topic, lines) == len(records)

    reader = open_reader(kafka.settings())
    partitions = reader.partitions_of(topic)
    ends = reader.end_offsets(partitions)
    reader.assign(dict.fromkeys(partitions, 0))
    found = []
    while any(reader.position(partition) < end for partition, end in ends.items()):
        found += reader.poll(timeout_seconds=10.0, max_records=1_000)
    reader.close()
    assert len(found) == len(produced) * len(records)
    for record in found:
        assert record.key is not None
        assert (record.value, record.headers) == (expected[record.key], ()), "byte for byte as our producer"
        assert record.partition == partition_for(record.key, len(partitions))

    env = {"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": servers, "FLOWISE_TELEMETRY_TOPIC": topic}
    service = start(
        "consume", "--sink", "sqlite:///live.db", "--group", kafka.new_group(), "--json", folder=tmp_path, env=env
    )
    try:
        wait_until(lambda: rows(tmp_path, catalog()) == len(records), timeout_seconds=120.0)
        service.send_signal(signal.SIGTERM)
        told, _ = service.communicate(timeout=120)
    finally:
        service.kill()
        service.wait()
    assert service.returncode == 0
    counts = json.loads(told)
    assert (sum(counts["written"].values()), counts["dead"]) == (len(records), {})


def rows(folder: Path, schemas: Catalog) -> int:
    if not (folder / "live.db").exists():
        return 0
    with closing(sqlite3.connect(f"file:{folder / 'live.db'}?mode=ro", uri=True, timeout=30.0)) as database:
        try:
            return sum(database.execute(f"SELECT count(*) FROM {event}").fetchone()[0] for event in schemas.events)
        except sqlite3.OperationalError:
            return 0


def test_the_example_s_types_are_typescript(tmp_path: Path) -> None:
    (tmp_path / "app.ts").write_text(
        f"""import {{ flush, sendTelemetry, stats }} from '{ROOT / "docs" / "examples" / "node" / "index"}'
sendTelemetry('tool_created', {{ version: '3.0.1', toolId: 'id', toolName: null }}, 'org')
const flowGraph = {{ nodes: [{{ id: 'a_0' }}, 'b_0'], edges: [] }}
sendTelemetry('prediction_sent', {{ version: '3.0.1', chatflowId: 'id', chatId: 'id', type: 'MCP', flowGraph }})
// @ts-expect-error no schema has it
sendTelemetry('tool_created', {{ version: '3.0.1', toolId: 'id', prompt: 'text' }})
flush().then((done: boolean) => stats().sent + (done ? 1 : 0))
"""
    )
    options = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "commonjs"]
    done = subprocess.run(
        [str(CLIENTS / "node_modules" / ".bin" / "tsc"), *options, str(tmp_path / "app.ts")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
