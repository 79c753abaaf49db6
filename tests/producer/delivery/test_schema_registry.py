"""Ids of a registry in front of what is sent: looked up beside the sender, never at the cost of an event."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowise_telemetry import AssistantCreated, ConfigurationError, Telemetry
from flowise_telemetry.delivery import schema_ids
from flowise_telemetry.delivery.schema_ids import Found, SchemaIds
from flowise_telemetry_schemas import EventSchema, catalog, event_from_json
from flowise_telemetry_schemas.codec import MARKER
from flowise_telemetry_schemas.own_events import read_own_events
from flowise_telemetry_transport import BufferFullError, InMemoryBroker, Record
from flowise_telemetry_transport.schema_registry.errors import RegistryUnavailableError
from flowise_telemetry_transport.schema_registry.subjects import schema_json, subject_of
from flowise_telemetry_transport.topics import EVENTS_TOPIC
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import ID, prediction_sent, stored_records, tool_created, wait_until
from tests.schemas import own_folder
from tests.services.small_registry import GARBAGE, SILENCE, SmallRegistry, small_registry

URL = "FLOWISE_TELEMETRY_SCHEMA_REGISTRY_URL"
TOOL = catalog().latest("tool_created")
MESSAGE = MARKER + TOOL.fingerprint + b"body"


@pytest.fixture
def registry(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallRegistry]:
    """One whose answers are waited for, as the machine may be busy."""
    monkeypatch.setattr(schema_ids, "_FIRST_LOOK_UP_SECONDS", 100.0)
    environ["FLOWISE_TELEMETRY_SCHEMA_REGISTRY_TIMEOUT_SECONDS"] = "60"
    pytest.importorskip("authlib", reason="needs the extra registry")
    with small_registry() as served:
        environ[URL] = served.url
        yield served


def register(registry: SmallRegistry, *schemas: EventSchema) -> None:
    for schema in schemas:
        registry.add(schema_json(schema), subject_of(EVENTS_TOPIC, schema))


def all_records(broker: InMemoryBroker) -> list[Record]:
    return stored_records(broker) + stored_records(broker, control=True)


def framings(broker: InMemoryBroker) -> list[bytes]:
    """The first bytes of every value, control records included: an id's, or a fingerprint's."""
    values = [record.value or b"" for record in all_records(broker)]
    return sorted(value[:5] if value.startswith(b"\x00") else value[:2] for value in values)


def test_values_begin_with_the_id_of_their_schema(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, registry: SmallRegistry
) -> None:
    register(registry, *catalog())
    telemetry = make_telemetry()
    for event in (tool_created(), prediction_sent(), tool_created(1)):
        telemetry.send_telemetry(event)
    assert telemetry.flush(100.0)
    telemetry.close()
    numbers = {schema: number for number, schema in enumerate(catalog(), 1)}
    expected = ["tool_created", "tool_created", "prediction_sent", "stream_state"]
    ids = [numbers[catalog().latest(name)].to_bytes(4, "big") for name in expected]
    assert framings(broker) == sorted(b"\x00" + each for each in ids)
    assert all(record.headers == () for record in all_records(broker))
    assert telemetry.stats().sent == 3
    assert len(registry.asked) == len(list(catalog())), "each is asked for once"


def test_what_is_not_registered_is_sent_by_its_fingerprint(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, registry: SmallRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    register(registry, TOOL)
    telemetry = make_telemetry()
    for event in (tool_created(), prediction_sent(), prediction_sent()):
        telemetry.send_telemetry(event)
    assert telemetry.flush(100.0)
    telemetry.close()
    assert framings(broker) == [b"\x00\x00\x00\x00\x01", MARKER, MARKER, MARKER]
    (line,) = [each for each in caplog.messages if "registry" in each]
    assert "does not have subject" in line
    assert "schemas register" in line
    assert line.endswith("are sent in single-object encoding meanwhile")


@pytest.mark.parametrize("fault", [401, 404, 409, 500, GARBAGE])
def test_no_fault_costs_an_event(
    make_telemetry: MakeTelemetry,
    broker: InMemoryBroker,
    registry: SmallRegistry,
    fault: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry.fault = fault
    telemetry = make_telemetry()
    for number in range(50):
        telemetry.send_telemetry(tool_created(number))
    assert telemetry.flush(100.0)
    telemetry.close()
    assert framings(broker) == [MARKER] * 51
    assert (telemetry.stats().sent, telemetry.stats().dropped) == (50, {})
    (line,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert f"the schema registry at {registry.url}" in line.getMessage()


@pytest.mark.parametrize(("status", "event"), [(403, "tool_created"), (500, "assistant_created")])
def test_a_fault_of_one_subject_takes_no_id_from_the_others(
    make_telemetry: MakeTelemetry,
    broker: InMemoryBroker,
    registry: SmallRegistry,
    status: int,
    event: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    register(registry, *catalog())
    answer = registry.answer
    faulty = subject_of(EVENTS_TOPIC, catalog().latest(event))
    monkeypatch.setattr(
        registry, "answer", lambda method, path, body: (status, "") if faulty in path else answer(method, path, body)
    )
    telemetry = make_telemetry()
    for each in (tool_created(), prediction_sent(), AssistantCreated(assistant_id=ID)):
        telemetry.send_telemetry(each)
    telemetry.close()
    bare = [value for record in all_records(broker) if (value := record.value or b"").startswith(MARKER)]
    assert [value[2:10] for value in bare] == [catalog().latest(event).fingerprint]
    assert len(all_records(broker)) == 4
    (line,) = [text for text in caplog.messages if "registry" in text]
    assert str(status) in line


def test_wrong_settings_cost_no_event_and_are_told_at_once_where_it_is_strict(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    environ |= {URL: "registry:8081", "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "localhost:9092"}
    with pytest.raises(ConfigurationError, match="must be http://host:port"):
        Telemetry(app_version="3.0.1", environ=environ, strict=True)
    telemetry = make_telemetry()
    telemetry.send_telemetry(tool_created())
    assert telemetry.flush(100.0)
    telemetry.close()
    assert framings(broker) == [MARKER] * 2
    assert "must be http://host:port" in caplog.text


class Asked:
    """A look-up that answers when it is told, and a clock that moves when it is told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls = 0
        self.answers = threading.Semaphore(0)
        self.rung = threading.Semaphore(0)
        self.answer: Found | Exception = Found({TOOL.fingerprint: 7})
        self.may_wait = True
        self.ids = SchemaIds(
            self.look_up, ring=self.rung.release, may_wait=lambda: self.may_wait, clock=lambda: self.now
        )

    def look_up(self) -> Found:
        self.calls += 1
        assert self.answers.acquire(timeout=30.0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def answered(self, answer: Found | Exception | None = None) -> None:
        self.answer = answer or self.answer
        self.answers.release()
        assert self.rung.acquire(timeout=30.0)


def test_the_first_events_wait_for_the_first_look_up() -> None:
    it = Asked()
    for _ in range(3):
        with pytest.raises(BufferFullError):
            it.ids.framed(MESSAGE)
    it.answered()
    assert it.ids.framed(MESSAGE) == b"\x00\x00\x00\x00\x07body"
    it.now = 10_000.0
    assert it.ids.framed(MESSAGE) == b"\x00\x00\x00\x00\x07body"
    assert it.calls == 1, "an id that is known stays known"


def test_they_do_not_wait_for_ever() -> None:
    it = Asked()
    with pytest.raises(BufferFullError):
        it.ids.framed(MESSAGE)
    it.now = schema_ids._FIRST_LOOK_UP_SECONDS
    assert it.ids.framed(MESSAGE) == MESSAGE
    it.answered()
    assert it.ids.framed(MESSAGE) == b"\x00\x00\x00\x00\x07body", "the answer counts also when it is late"


def test_at_the_end_nothing_waits() -> None:
    it = Asked()
    with pytest.raises(BufferFullError):
        it.ids.framed(MESSAGE)
    it.may_wait = False
    assert it.ids.framed(MESSAGE) == MESSAGE
    it.answered()


def test_an_outage_is_told_once_and_asked_about_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "flowise_telemetry")
    it = Asked()
    it.ids.begin()
    it.answered(RegistryUnavailableError("away"))
    for minute in range(3):
        it.now = minute * 60.0
        assert it.ids.framed(MESSAGE) == MESSAGE, "no later look-up is waited for"
        assert it.ids.framed(MESSAGE) == MESSAGE
        if minute:
            it.answered()
    assert it.calls == 3
    assert [each.levelname for each in caplog.records] == ["WARNING"]
    it.now = 180.0
    it.ids.begin()
    it.answered(Found({}, missing="one is missing"))
    it.ids.begin()
    it.now = 240.0
    it.ids.begin()
    it.answered(Found({TOOL.fingerprint: 7}))
    assert it.ids.framed(MESSAGE) == b"\x00\x00\x00\x00\x07body"
    assert [each.levelname for each in caplog.records] == ["WARNING", "WARNING", "INFO"]


def test_the_caller_never_waits_for_the_registry(
    make_telemetry: MakeTelemetry,
    broker: InMemoryBroker,
    registry: SmallRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schema_ids, "_FIRST_LOOK_UP_SECONDS", 0.3)
    registry.fault = SILENCE
    telemetry = make_telemetry()
    telemetry.send_telemetry(tool_created())
    wait_until(lambda: registry.asked)
    begun = time.thread_time()
    for number in range(100):
        telemetry.send_telemetry(tool_created(number))
    assert time.thread_time() - begun < 1.0
    assert telemetry.flush(30.0)
    assert framings(broker) == [MARKER] * 101


def test_nothing_is_asked_while_telemetry_is_off(
    make_telemetry: MakeTelemetry, environ: dict[str, str], registry: SmallRegistry
) -> None:
    environ["DISABLE_FLOWISE_TELEMETRY"] = "true"
    telemetry = make_telemetry()
    telemetry.send_telemetry(tool_created())
    telemetry.close()
    assert registry.asked == []


def test_events_of_ones_own_have_ids_too(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, registry: SmallRegistry, tmp_path: Path
) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    own_folder.write(folder)
    own = read_own_events(folder)
    register(registry, *own.catalog)
    document = {"event": "thing_made", "properties": {"kind": "ONE", "isNew": True, "points": [], "label": None}}
    telemetry = make_telemetry(schemas=folder)
    telemetry.send_telemetry(event_from_json(document, schemas=own.catalog))
    assert telemetry.flush(100.0)
    telemetry.close()
    values = [record.value or b"" for record in all_records(broker)]
    assert telemetry.stats().sent == 1
    assert {value[:1] for value in values} == {b"\x00"}
    number = next(at for at, schema in enumerate(own.catalog, 1) if schema.event == "thing_made")
    assert number in {int.from_bytes(value[1:5], "big") for value in values}, "the stream's counts are there too"
