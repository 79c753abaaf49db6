"""Our side and Confluent's own serializers, in both directions, by one registry."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import (
    SchemaRegistryClient,
    SchemaRegistryError,
    header_schema_id_serializer,
    topic_record_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from flowise_telemetry import Telemetry
from flowise_telemetry.delivery import schema_ids
from flowise_telemetry_consumer.decoding.decoder import Decoded, Decoder
from flowise_telemetry_consumer.decoding.frames import wire_records
from flowise_telemetry_schemas import Catalog, EventSchema, catalog, codec
from flowise_telemetry_schemas.registered_schemas import with_registry
from flowise_telemetry_transport import InMemoryBroker, Record
from flowise_telemetry_transport.schema_registry.registration import register_schemas, registry_problems
from flowise_telemetry_transport.schema_registry.registry import Registry
from flowise_telemetry_transport.schema_registry.settings import RegistrySettings
from flowise_telemetry_transport.schema_registry.subjects import schema_json
from tests.producer.samples import prediction_sent, stored_records, tool_created
from tests.registry.conftest import Served
from tests.schemas.records import EVENTS, STATE, record_of

RECORDS: dict[str, dict[str, Any]] = {event.EVENT: record_of(event) for event in EVENTS} | {"stream_state": STATE}
NEWEST = [catalog().latest(name) for name in catalog().names]


@contextlib.contextmanager
def registry_at(served: Served) -> Iterator[Registry]:
    registry = Registry(RegistrySettings(url=served.url, timeout_seconds=60.0))
    yield registry
    registry.close()


@contextlib.contextmanager
def client_at(served: Served) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": served.url, "timeout": 10}) as client:
        yield client


def context(served: Served, headers: list[tuple[str, str | bytes | None]]) -> SerializationContext:
    return SerializationContext(served.topic, MessageField.VALUE, headers)


def serialized(
    client: SchemaRegistryClient, served: Served, text: str, values: Mapping[str, Any], **conf: Any
) -> Record:
    """The record that Confluent's serializer makes, which registers the schema by itself."""
    conf = {"subject.name.strategy": topic_record_subject_name_strategy, **conf}
    headers: list[tuple[str, str | bytes | None]] = []
    value = AvroSerializer(client, text, conf=conf)(values, context(served, headers))
    return Record(
        served.topic, 0, 0, 0, b"key", value, tuple((name, it) for name, it in headers if isinstance(it, bytes))
    )


def decoded_by_us(registry: Registry, *records: Record, schemas: Catalog | None = None) -> Decoded:
    return Decoder(with_registry(schemas or catalog(), registry)).decode(records)


def on_the_wire(decoded: Decoded, schema: EventSchema) -> list[dict[str, Any]]:
    return list(wire_records(schema, decoded.frames[schema.event]))


@pytest.mark.parametrize("schema", NEWEST, ids=lambda schema: schema.event)
def test_we_read_what_confluent_writes(served: Served, schema: EventSchema) -> None:
    with client_at(served) as client, registry_at(served) as registry:
        record = serialized(client, served, schema_json(schema), RECORDS[schema.event])
        assert (record.value or b"")[:1] == b"\x00"
        decoded = decoded_by_us(registry, record)
        assert decoded.dead == []
        (found,) = on_the_wire(decoded, schema)
        assert {name: found[name] for name in RECORDS[schema.event]} == RECORDS[schema.event]


def looks_up_guids(client: SchemaRegistryClient) -> bool:
    # Apicurio 3.3.3 sends no answer at times where it cannot: the access is logged, and the connection stays as it is.
    for tries_left in (2, 1, 0):
        try:
            client.get_schema_by_guid(str(uuid.uuid4()))
        except SchemaRegistryError as error:
            return bool(error.error_code == 40403)
        except Exception:
            if not tries_left:
                raise
        else:
            break
    return True


def test_we_read_the_guid_in_a_header_where_the_registry_can(served: Served) -> None:
    schema = catalog().latest("tool_created")
    with client_at(served) as client, registry_at(served) as registry:
        text, values = schema_json(schema), RECORDS["tool_created"]
        if looks_up_guids(client):
            conf = {"schema.id.serializer": header_schema_id_serializer}
            record = serialized(client, served, text, values, **conf)
            assert record.headers[0][0] == "__value_schema_id"
            assert decoded_by_us(registry, record).rows == 1
            return
        record = serialized(client, served, text, values)
        headers = (("__value_schema_id", b"\x01" + uuid.uuid4().bytes),)
        record = Record(served.topic, 0, 0, 0, b"key", (record.value or b"")[5:], headers)
        (letter,) = decoded_by_us(registry, record).dead
        assert letter.reason == "unknown_schema"
        assert f"{served.url} cannot look a schema up by its GUID" in letter.message


def as_written(value: Any) -> Any:
    """A value of Confluent's deserializer as it is on the wire: it makes objects of logical types."""
    match value:
        case dict():
            return {name: as_written(item) for name, item in value.items()}
        case list():
            return [as_written(item) for item in value]
        case uuid.UUID():
            return str(value)
        case datetime():
            return round(value.timestamp() * 1000)
    return value


@pytest.fixture
def environ(served: Served, tmp_path: Path) -> dict[str, str]:
    return {
        "FLOWISE_TELEMETRY_CONFIG_DIR": str(tmp_path / "config"),
        "FLOWISE_TELEMETRY_SCHEMA_REGISTRY_URL": served.url,
        "FLOWISE_TELEMETRY_SCHEMA_REGISTRY_TIMEOUT_SECONDS": "60",
        "FLOWISE_TELEMETRY_TOPIC": served.topic,
    }


def test_confluent_reads_what_we_write(
    served: Served, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_ids, "_FIRST_LOOK_UP_SECONDS", 100.0)  # the machine may be busy
    broker = InMemoryBroker()
    with registry_at(served) as registry, client_at(served) as client:
        assert all(each.is_new for each in register_schemas(registry, catalog(), served.topic))
        with Telemetry(app_version="3.0.1", environ=environ, writer_factory=broker.open_writer) as telemetry:
            telemetry.send_telemetry(tool_created())
            telemetry.send_telemetry(prediction_sent())
            assert telemetry.flush(100.0)
        records = stored_records(broker, served.topic)
        assert len(records) == 3, "the stream's counts among them"
        read = AvroDeserializer(client)
        names = []
        for record in records:
            found = as_written(read(record.value, context(served, [])))
            (schema,) = [each for each in NEWEST if each.fields and {it.name for it in each.fields} == set(found)]
            names.append(schema.event)
            assert codec.encode(schema, found)[10:] == (record.value or b"")[5:]
        assert sorted(names) == ["prediction_sent", "stream_state", "tool_created"]
        decoded = decoded_by_us(registry, *records)
        assert (decoded.dead, decoded.rows) == ([], 3)


def test_registering_is_idempotent_and_holds_the_subjects(served: Served) -> None:
    with registry_at(served) as registry:
        assert len(registry_problems(registry, catalog(), served.topic)) > len(list(catalog()))
        first = {it.schema: it.schema_id for it in register_schemas(registry, catalog(), served.topic)}
        second = list(register_schemas(registry, catalog(), served.topic))
        assert {it.schema: it.schema_id for it in second} == first
        assert not any(it.is_new for it in second)
        assert registry_problems(registry, catalog(), served.topic) == []


def test_a_newer_version_is_read_by_those_who_do_not_know_it(served: Served) -> None:
    newest = catalog().latest("tool_created")
    source = {**newest.source, "fields": [*newest.source["fields"], {"name": "stars", "type": "int", "default": 0}]}
    with client_at(served) as client, registry_at(served) as registry:
        record = serialized(client, served, json.dumps(source), {**RECORDS["tool_created"], "stars": 5})
        decoded = decoded_by_us(registry, record)
        assert decoded.dead == []
        assert on_the_wire(decoded, newest) == [RECORDS["tool_created"]]


def test_an_id_of_none_and_of_another_record_are_dead_letters(served: Served) -> None:
    order = json.dumps({"type": "record", "name": "Order", "namespace": "com.example", "fields": []})
    with client_at(served) as client, registry_at(served) as registry:
        other = serialized(client, served, order, {})
        none = Record(served.topic, 0, 1, 0, None, b"\x00\x7f\xff\xff\xff" + b"body", ())
        letters = decoded_by_us(registry, other, none).dead
        # A body of no bytes is empty before anyone asks for its schema.
        assert [letter.reason for letter in letters] == ["empty", "unknown_schema"]
        (letter,) = decoded_by_us(registry, Record(served.topic, 0, 0, 0, None, (other.value or b"") + b"x", ())).dead
        assert "is of com.example.Order, which is no event of ours" in letter.message
