"""What only a real registry does: refuse a version. And processes that share it and a Kafka, with both clients."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flowise_telemetry import Telemetry
from flowise_telemetry.delivery import schema_ids
from flowise_telemetry_schemas import Catalog, EventSchema, catalog
from flowise_telemetry_transport import TopicSpec, open_admin, open_reader
from flowise_telemetry_transport.schema_registry.registration import register_schemas, registry_problems
from flowise_telemetry_transport.topics import dead_letter_topic_of
from tests.cli.program import program, start
from tests.producer.samples import tool_created, wait_until
from tests.registry.conftest import Served
from tests.registry.test_serializers import registry_at
from tests.services.kafka import KafkaService

EVENTS = 200


def test_a_version_that_cannot_read_the_earlier_ones_is_refused(served: Served) -> None:
    newest = catalog().latest("tool_created")
    grade = {"name": "grade", "type": "int", "doc": "d", "purpose": "p", "classification": "count"}
    source = {**newest.source, "fields": [*newest.source["fields"], grade]}  # without a default
    worse = Catalog((newest, EventSchema.read("tool_created", newest.version + 1, source)))
    with registry_at(served) as registry:
        list(register_schemas(registry, catalog(), served.topic))
        (problem,) = registry_problems(registry, worse, served.topic)
        assert problem.message.endswith("whose versions it is not compatible with")
        *_, refused = register_schemas(registry, worse, served.topic)
        assert refused.schema_id is None
        assert "refuses what is asked for subject" in (refused.refusal or "")


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_an_app_and_a_service_on_a_real_kafka(
    served: Served, kafka: KafkaService, client: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_ids, "_FIRST_LOOK_UP_SECONDS", 100.0)  # the machine may be busy
    admin = open_admin(kafka.settings())
    for topic in (served.topic, dead_letter_topic_of(served.topic)):
        admin.create_topic(TopicSpec(topic, partitions=2))
    admin.close()
    env = {
        "FLOWISE_TELEMETRY_CONFIG_DIR": str(tmp_path / "config"),
        "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": ",".join(kafka.bootstrap_servers),
        "FLOWISE_TELEMETRY_CLIENT": client,
        "FLOWISE_TELEMETRY_TOPIC": served.topic,
        "FLOWISE_TELEMETRY_SCHEMA_REGISTRY_URL": served.url,
        "FLOWISE_TELEMETRY_SCHEMA_REGISTRY_TIMEOUT_SECONDS": "60",
    }
    assert program("schemas", "register", folder=tmp_path, env=env).status == 0
    assert program("schemas", "check", "--registry", folder=tmp_path, env=env).status == 0
    with Telemetry(app_version="3.0.1", environ=env) as telemetry:
        for number in range(EVENTS):
            telemetry.send_telemetry(tool_created(number))
        assert telemetry.flush(100.0)
    reader = open_reader(kafka.settings())
    partitions = reader.partitions_of(served.topic)
    reader.assign(dict.fromkeys(partitions, 0))
    (first, *_) = reader.poll(timeout_seconds=60.0, max_records=1)
    assert (first.value or b"")[:1] == b"\x00"
    reader.close()

    service = start("consume", "--sink", "sqlite:///live.db", "--json", folder=tmp_path, env=env)

    def written() -> int:
        if not (tmp_path / "live.db").exists():
            return 0
        with closing(sqlite3.connect(f"file:{tmp_path / 'live.db'}?mode=ro", uri=True, timeout=30.0)) as database:
            try:
                return int(database.execute("SELECT count(*) FROM tool_created").fetchone()[0])
            except sqlite3.OperationalError:
                return 0

    try:
        wait_until(lambda: written() == EVENTS or service.poll() is not None, timeout_seconds=180.0)
    finally:
        service.send_signal(signal.SIGTERM)
        stdout, stderr = service.communicate(timeout=60)
    assert service.returncode == 0, stderr
    assert (json.loads(stdout)["written"], json.loads(stdout)["dead"]) == ({"tool_created": EVENTS}, {})
    replayed = program(
        "replay", "--sink", "sqlite:///replayed.db", "--workers", "1", "--json", folder=tmp_path, env=env
    )
    assert replayed.status == 0, replayed.stderr
    assert json.loads(replayed.stdout.splitlines()[-1])["written"]["tool_created"] == EVENTS
