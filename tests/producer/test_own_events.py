"""Events of an app's own in the producer: the same checks, the same withholding, and who may name their folder."""

from __future__ import annotations

import dataclasses
import json
import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry import ConfigurationError, Telemetry, ValidationError
from flowise_telemetry.consent.notice import NOTICE, show_notice
from flowise_telemetry.content import Content
from flowise_telemetry.encoding.compiled import CompiledEncoder
from flowise_telemetry.encoding.encoder import Encoder
from flowise_telemetry.identity.instance_id import InstanceId
from flowise_telemetry.own_events import AppEvents
from flowise_telemetry.testing import TelemetryRecorder
from flowise_telemetry_schemas import codec, event_from_json
from flowise_telemetry_schemas.example_event import example_of
from flowise_telemetry_schemas.own_classes import types_of
from flowise_telemetry_schemas.own_events import OwnEvents, read_own_events
from flowise_telemetry_transport import InMemoryBroker, TopicPartition
from tests.producer.conftest import MakeTelemetry
from tests.producer.consent.test_notice import Terminal
from tests.producer.samples import ID, tool_created
from tests.schemas.own_folder import KIND, TERMS, Source, add, write

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "flowise_3_1" / "events"
NOW_MS = 1_790_000_000_000
OTHER_ID = "1e0f0a0b-1c2d-4e3f-8a9b-0123456789ab"
IDENTIFIER = {
    "type": "string", "logicalType": "uuid", "maxLength": 36,
    "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
}  # fmt: skip
THING = {"kind": "ONE", "isNew": True, "points": [{"x": 1, "y": 2}], "label": "abc"}


def later(folder: Path) -> Path:
    """A folder whose event ends in a year that no test sees."""
    for terms in folder.glob("*/event.toml"):
        terms.write_text(TERMS.replace("2027", "2999"))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    events = tmp_path / "events"
    events.mkdir()
    write(events)
    write(events, "nothing_told", lambda source: None)
    return later(events)


@pytest.fixture
def own(folder: Path) -> OwnEvents:
    return read_own_events(folder)


def thing(own: OwnEvents, **changed: Any) -> Any:
    document = {"event": "thing_made", "properties": {**THING, **changed}}
    return event_from_json(document, bounds=False, schemas=own.catalog)


def sent(broker: InMemoryBroker, own: OwnEvents) -> list[tuple[str, Mapping[str, Any]]]:
    found = []
    for partition in range(broker.partition_counts()["flowise.telemetry.events"]):
        log = broker.log(TopicPartition("flowise.telemetry.events", partition))
        found += [codec.decode(log.records[offset].value, own.catalog) for offset in log.records]
    return [(schema.event, record) for schema, record in found if not schema.control]


def test_they_are_encoded_as_the_codec_does(own: OwnEvents) -> None:
    ours = Encoder("3.1.0", InstanceId(b"secret"), ID, schemas=own.catalog)
    nothing = event_from_json({"event": "nothing_told", "properties": {}}, schemas=own.catalog)
    for event in (thing(own), thing(own, label=None, points=[]), nothing):
        encoded = ours.encode(event, 7, NOW_MS)
        schema, record = ours.record(event, 7, NOW_MS)
        record["eventId"] = encoded.event_id
        assert (encoded.value, list(encoded.withheld)) == (codec.encode(schema, record), [])


def test_every_id_is_hashed_whatever_its_field_is_called(folder: Path) -> None:
    ids = ("eventId", "instanceId", "streamId", "flowId")
    fields = [
        {"name": name, "type": IDENTIFIER, "doc": "d", "purpose": "p", "classification": "identifier"} for name in ids
    ]
    inner = {"type": "record", "name": "Inner", "doc": "d", "fields": fields}

    def change(source: Source) -> None:
        add(source, "flows", {"type": "array", "maxItems": 2, "items": IDENTIFIER})
        add(source, "inner", inner)
        add(source, "others", {"type": "array", "maxItems": 2, "items": {**inner, "name": "Other"}})

    write(folder, "flow_made", change)
    own = read_own_events(later(folder))
    one = dict.fromkeys(ids, ID)
    made = {"event": "flow_made", "properties": {"flows": [ID], "inner": one, "others": [one, one]}}
    event = event_from_json(made, schemas=own.catalog)
    for content, kept in ((Content(), True), (Content(hash_ids=True), False)):
        encoder = Encoder("3.1.0", InstanceId(b"secret"), OTHER_ID, content, schemas=own.catalog)
        for encoded in (encoder.encode(event, 0, NOW_MS), encoder.encode(event, 1, NOW_MS)):
            record = json.dumps(codec.decode(encoded.value, own.catalog)[1])
            assert record.count(ID) == (13 if kept else 0), record


def test_they_have_their_short_cut() -> None:
    for schema in read_own_events(EXAMPLE).schemas:
        fast = CompiledEncoder(schema, app_version="3.1.0", stream_id=ID, types=types_of(schema))
        assert fast.encode(example_of(schema), ID, NOW_MS, ID, 0)


def test_they_are_sent_beside_the_shipped_ones(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, own: OwnEvents, folder: Path
) -> None:
    telemetry = make_telemetry(schemas=folder)
    telemetry.send_telemetry(tool_created())
    telemetry.send_telemetry(dataclasses.replace(thing(own), label="too long to fit", kind="SOMETHING"))
    telemetry.close(timeout_seconds=30.0)
    assert dict(telemetry.stats().withheld) == {
        "thing_made.kind: unknown_symbol": 1, "thing_made.label: maxLength": 1,
    }  # fmt: skip
    records = dict(sent(broker, own))
    assert records.keys() == {"tool_created", "thing_made"}
    made = records["thing_made"]
    assert (made["kind"], made["label"], made["version"]) == ("OTHER", None, "3.0.1")


def test_without_the_folder_they_are_no_events(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, own: OwnEvents
) -> None:
    telemetry = make_telemetry()
    telemetry.send_telemetry(thing(own))
    telemetry.close(timeout_seconds=30.0)
    assert (telemetry.stats().dropped, telemetry.stats().sent) == ({"invalid": 1}, 0)


@pytest.mark.parametrize("spoil", ["thing_made/event.toml", "thing_made", "thing_made/v1.avsc"])
def test_a_refused_folder_costs_the_own_events_alone(
    make_telemetry: MakeTelemetry, folder: Path, own: OwnEvents, caplog: pytest.LogCaptureFixture, spoil: str
) -> None:
    file = folder / spoil
    if file.is_dir():
        file.rename(folder / "tool_created")
    else:
        file.write_text("{}")
    telemetry = make_telemetry(schemas=folder)
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.startswith(f"telemetry: events of the app's own are not sent: schemas: {folder}: ")
    assert "\n" not in line
    telemetry.send_telemetry(thing(own))
    telemetry.send_telemetry(tool_created())
    telemetry.close(timeout_seconds=30.0)
    assert (telemetry.stats().sent, telemetry.stats().dropped) == (1, {"invalid": 1})
    with pytest.raises(ConfigurationError, match=r"run schemas check|event.toml|no <event>|not a record") as caught:
        make_telemetry(schemas=folder, strict=True)
    assert caught.value.argument == "schemas"


def test_who_may_name_the_folder(
    environ: dict[str, str], folder: Path, working_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A ``.env`` that was found adds nothing to what may leave; one that the program names, and the environment, do."""
    environ["FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    named = {"FLOWISE_TELEMETRY_SCHEMAS": str(folder)}

    def own_of(**settings: Any) -> AppEvents | None:
        telemetry = Telemetry(**{"app_version": "3.1.0", "environ": environ, "first_run_notice": False, **settings})
        telemetry.close(timeout_seconds=0.0)
        return telemetry._own

    assert own_of() is None
    (working_directory / ".env").write_text(f"FLOWISE_TELEMETRY_SCHEMAS={folder}\n")
    assert own_of() is None
    assert "has no effect for FLOWISE_TELEMETRY_SCHEMAS" in caplog.text
    for found in (
        own_of(environ=environ | named),
        own_of(env_file=working_directory / ".env"),
        own_of(schemas=folder),
        own_of(schemas=str(folder), environ=environ | {"FLOWISE_TELEMETRY_SCHEMAS": "elsewhere"}),
    ):
        assert found is not None
        assert found.names == ("nothing_told", "thing_made")


def test_off_reads_nothing(environ: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    environ |= {"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "127.0.0.1:1", "DO_NOT_TRACK": "1"}
    telemetry = Telemetry(app_version="3.1.0", environ=environ, schemas=tmp_path / "missing")
    assert (telemetry._own, caplog.records) == (None, [])


def test_one_that_has_ended_is_not_sent(make_telemetry: MakeTelemetry, folder: Path, own: OwnEvents) -> None:
    (folder / "thing_made" / "event.toml").write_text(TERMS.replace("2027", "2001"))
    telemetry = make_telemetry(schemas=folder)
    telemetry.send_telemetry(thing(own))
    telemetry.close(timeout_seconds=30.0)
    assert telemetry.stats().dropped == {"retired": 1}


def test_a_later_field_is_withheld_until_it_was_shown(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, environ: dict[str, str], config_dir: Path, folder: Path
) -> None:
    file = folder / "thing_made" / "v1.avsc"
    source = json.loads(file.read_text())
    add(source, "later", {**KIND, "name": "Later"}, default="OTHER", disclosure=2)
    (folder / "thing_made" / "v2.avsc").write_text(json.dumps(source))
    own = read_own_events(folder)
    assert (own.schemas.disclosure, own.catalog.latest("thing_made").version) == (2, 2)
    event = thing(own, later="ONE")
    encoder = Encoder("3.1.0", InstanceId(b""), ID, Content(own_disclosed=1), schemas=own.catalog)
    assert encoder.encode(event, 0, NOW_MS).withheld == [("later", "not_disclosed")]
    encoder = Encoder("3.1.0", InstanceId(b""), ID, Content(own_disclosed=2), schemas=own.catalog)
    assert list(encoder.encode(event, 0, NOW_MS).withheld) == []
    terminal = Terminal()
    assert show_notice(environ, terminal, own=AppEvents(own))
    assert terminal.getvalue().startswith(NOTICE + "It also sends events of its own: nothing_told, thing_made.\n")
    assert not show_notice(environ, terminal, own=AppEvents(own))
    assert not show_notice(environ, terminal)
    assert (config_dir / "notice-shown-com.example.app").read_text() == "shown 2\n"


def test_what_could_change_before_it_is_encoded_is_refused(folder: Path, own: OwnEvents) -> None:
    events = AppEvents(own)
    made = thing(own)
    assert (events.bytes_of(made) or 0) > (events.bytes_of(thing(own, points=[])) or 0) > 1_000
    kind = type(made)
    with pytest.raises(ValidationError, match="points: must be a tuple") as caught:
        events.bytes_of(kind(kind="ONE", is_new=True, points=[], label=None))
    assert (caught.value.event, caught.value.field) == ("thing_made", "points")
    for other in (tool_created(), object(), type("Fake", (), {"EVENT": "tool_created"})(), "thing_made"):
        assert events.bytes_of(other) is None


def test_what_lies_about_its_class_raises_nothing_into_the_app(make_telemetry: MakeTelemetry, folder: Path) -> None:
    class Lying:
        EVENT = "thing_made"

        def __getattr__(self, name: str) -> object:
            raise RuntimeError("a secret")

    telemetry = make_telemetry(schemas=folder)
    telemetry.send_telemetry(Lying())  # type: ignore[arg-type]  # that is the point
    telemetry.close(timeout_seconds=30.0)
    assert telemetry.stats().dropped == {"invalid": 1}


def test_strict_checks_them_at_the_call(make_telemetry: MakeTelemetry, folder: Path, own: OwnEvents) -> None:
    telemetry = make_telemetry(schemas=folder, strict=True)
    telemetry.send_telemetry(thing(own))
    with pytest.raises(ValidationError, match="points"):
        telemetry.send_telemetry(thing(own, points=[{"x": 99, "y": 0}]))
    with pytest.raises(ValidationError, match="ThingMade"):
        make_telemetry(schemas=folder, strict=True).send_telemetry(object())  # type: ignore[arg-type]


def test_a_pickle_names_the_folder(make_telemetry: MakeTelemetry, folder: Path) -> None:
    _, (_, _, arguments, _) = make_telemetry(schemas=folder).__reduce__()
    assert pickle.loads(pickle.dumps(arguments))["schemas"] == folder


def test_the_recorder_knows_them(folder: Path, own: OwnEvents) -> None:
    with TelemetryRecorder(schemas=folder) as recorder:
        recorder.telemetry.send_telemetry(thing(own))
        recorder.assert_sent("thing_made", is_new=True, label="abc")
        recorder.assert_sent(thing(own), times=1)
        with pytest.raises(ValueError, match=r"unknown event 'other'; there are: .*thing_made"):
            recorder.assert_sent("other")
