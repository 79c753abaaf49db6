"""A folder of an app's own events: what is taken, and the one line for what is refused."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from flowise_telemetry_schemas import (
    ConfigurationError,
    SchemaError,
    ValidationError,
    catalog,
    event_from_json,
    own_events,
)
from flowise_telemetry_schemas.class_text import own_event_classes
from flowise_telemetry_schemas.example_event import example_of
from flowise_telemetry_schemas.json_mapping import event_to_json
from flowise_telemetry_schemas.own_classes import types_of
from flowise_telemetry_schemas.own_events import GROUP, OwnEvents, read_own_events
from tests.schemas.own_folder import COUNT, KIND, NAMESPACE, POINT, TERMS, Source, add, write


@pytest.fixture
def own(tmp_path: Path) -> OwnEvents:
    write(tmp_path)
    return read_own_events(tmp_path)


def test_the_catalog_has_both_and_the_shipped_one_stays_as_it_is(own: OwnEvents) -> None:
    assert (own.schemas.events, own.namespace) == (("thing_made",), NAMESPACE)
    assert set(own.catalog.names) == {*catalog().names, "thing_made"}
    assert "thing_made" not in catalog().names
    (schema,) = own.schemas
    assert own.catalog.by_fingerprint(schema.fingerprint) is schema
    assert own.catalog.text_beside("thing_made", "event.toml") == TERMS
    assert own.catalog.text_beside("tool_created", "event.toml") == catalog().text_beside("tool_created", "event.toml")
    assert own.retired_from_ms() == {"thing_made": 1_814_313_600_000}
    with pytest.raises(SchemaError, match="two folders have an event thing_made"):
        own.catalog.joined(own.schemas)


DAMAGED: dict[str, tuple[str, bytes, str]] = {
    "a version in another script": ("thing_made/v\u00b2.avsc", b"{}", "a schema file is named v1.avsc, v2.avsc, "),
    "a version that is written twice": ("thing_made/v01.avsc", b"{}", "a schema file is named v1.avsc, v2.avsc, "),
    "JSON without end": ("thing_made/v1.avsc", b"[" * 100_000, "thing_made/v1.avsc: not JSON: "),
    "TOML without end": ("thing_made/event.toml", b"a = " + b"[" * 100_000, "event.toml: not TOML: "),
    "TOML in another encoding": ("thing_made/event.toml", b"\xff", "event.toml is not UTF-8 text"),
    "a list without end": ("released.json", b"[" * 100_000, "released.json is not a list of released files: "),
    "a list in another encoding": ("released.json", b"\xff", "released.json is not UTF-8 text"),
}


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_damaged_file_is_one_line(tmp_path: Path, damaged: str) -> None:
    name, content, said = DAMAGED[damaged]
    write(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read_own_events(tmp_path)
    assert said in caught.value.message
    assert (caught.value.argument, "\n" in caught.value.message) == ("schemas", False)


def test_whatever_a_folder_holds_is_no_error_of_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)

    def fail(_: object) -> None:
        raise KeyError("a shape that nobody thought of")

    monkeypatch.setattr(own_events, "problems", fail)
    with pytest.raises(ConfigurationError, match=r"cannot be read \(KeyError\): run schemas check on it"):
        read_own_events(tmp_path)


@pytest.mark.parametrize(
    ("event", "change", "said"),
    [
        ("tool_created", lambda s: None, "tool_created: has the name of a shipped event"),
        ("thing_made", lambda s: s.update(namespace="flowise.telemetry"), "that of the shipped events: take one of yo"),
        ("thing_made", lambda s: s.update(namespace="flowise.telemetry.own"), 'the namespace must be "flowise.teleme'),
        ("thing_made", lambda s: s.update(namespace="own"), "one such as com.example.app"),
        ("thing_made", lambda s: s.update(control=True), 'the namespace must be "flowise.telemetry"'),
        ("thing_made", lambda s: s.update(name="Thing"), "the record's name must be the folder's name"),
        ("thing_made", lambda s: add(s, "from", COUNT), "thing_made: from: no attribute of a class can be called so"),
        ("thing_made", lambda s: add(s, "properties", COUNT), "properties: no attribute of a class can be called so"),
        ("thing_made", lambda s: add(s, "str", COUNT), "thing_made: str: no attribute of a class can be called so"),
        ("thing_made", lambda s: add(s, "kind", {**KIND, "name": "Any"}), "no class can be called Any"),
        ("thing_made", lambda s: add(s, "kind", {**KIND, "name": "ThingMade"}), "redefined named type"),
        (
            "thing_made",
            lambda s: add(s, "p", {**POINT, "name": "FlowGraph"}),
            "the type FlowGraph differs from that of",
        ),
        ("thing_made", lambda s: add(s, "md5", COUNT), "stream_state could not name md5"),
        ("thing_made", lambda s: add(s, "free", "string"), "thing_made v1: free: a string needs pattern"),
        ("thing_made", lambda s: add(s, "xmin", COUNT), "thing_made: xmin: sinks have a column of this name in every"),
        ("thing_made", lambda s: add(s, "date", COUNT), "thing_made: date: sinks have a column of this name in every"),
        (
            "thing_made",
            lambda s: add(s, "rowid", COUNT),
            "thing_made: rowid: sinks have a column of this name in every",
        ),
        ("all_events", lambda s: None, "sinks have a view of this name"),
        ("tool_created_pkey", lambda s: None, "does not end with _pkey or _idx: PostgreSQL calls indexes so"),
        ("a_occurred_at_idx", lambda s: None, "does not end with _pkey or _idx: PostgreSQL calls indexes so"),
        ("thing_made", lambda s: add(s, "a", COUNT, doc=3), "thing_made v1: a: doc must be a text"),
        ("thing_made", lambda s: add(s, "a", COUNT, purpose=["p"]), "thing_made v1: a: purpose must be a text"),
        ("thing_made", lambda s: s.update(doc={"a": 1}), "thing_made v1: doc must be a text"),
        (
            "thing_made",
            lambda s: add(s, "a", {"type": "string", "pattern": "^[a-z]{2}$", "maxLength": 2, "holds": ["version"]}),
            "thing_made v1: a: holds must be one of",
        ),
        ("event", lambda s: None, "no class can be called Event"),
        ("flowise_telemetry_streams", lambda s: None, "and does not begin with flowise_telemetry_"),
        ("a_b", lambda s: None, None),
    ],
)
def test_what_no_folder_may_hold(
    tmp_path: Path, event: str, change: Callable[[Source], object], said: str | None
) -> None:
    write(tmp_path, event, change)
    if said is None:
        assert read_own_events(tmp_path).schemas.names == (event,)
        return
    with pytest.raises(ConfigurationError) as caught:
        read_own_events(tmp_path)
    assert said in caught.value.message
    assert caught.value.message.startswith(f"{tmp_path}: ")
    assert (caught.value.argument, "\n" in caught.value.message) == ("schemas", False)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "thing_made" / "event.toml").unlink(), "event.toml is missing"),
        (lambda folder: (folder / "thing_made" / "v1.avsc").unlink(), "holds no <event>/v1.avsc"),
        (lambda folder: (folder / "thing_made" / "v1.avsc").write_text("{"), "thing_made/v1.avsc: not JSON"),
        (lambda folder: (folder / "thing_made" / "v1.avsc").write_text("{}"), "not a record schema of ours"),
        (lambda folder: (folder / "node_types.txt").write_text("a node"), "node_types.txt: the name at place 1"),
        (lambda folder: (folder / "node_types.txt").write_bytes(b"\xff"), "node_types.txt is not UTF-8 text"),
        (lambda folder: (folder / "released.json").write_text("[]"), "released.json is not a list"),
        (
            lambda folder: (folder / "released.json").write_text(
                '{"thing_made/v1.avsc": {"release": "1.0.0", "fingerprint": "", "sha256": ""}}'
            ),
            "thing_made/v1.avsc: changed since release 1.0.0",
        ),
        (
            lambda folder: (folder / "thing_made" / "event.toml").write_text(TERMS.replace("2027-06-30", '"1.0.0"')),
            "expires must be a day",
        ),
    ],
)
def test_a_folder_that_cannot_be_used(tmp_path: Path, spoil: Callable[[Path], object], said: str) -> None:
    write(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        read_own_events(tmp_path)
    assert said in caught.value.message


def test_what_expired_is_still_read(tmp_path: Path) -> None:
    """A consumer does not stop on the day on which an event ends."""
    file = write(tmp_path)
    (file.parent / "event.toml").write_text(TERMS.replace("2027", "2001"))
    assert read_own_events(tmp_path).retired_from_ms() == {"thing_made": 993_859_200_000}


def test_a_package_is_named_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: OwnEvents) -> None:
    package = tmp_path / "site" / "some_app_events"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    write(package)
    monkeypatch.syspath_prepend(tmp_path / "site")
    points = [
        importlib.metadata.EntryPoint("some_app", "some_app_events", GROUP),
        importlib.metadata.EntryPoint("broken", "no_such_package_at_all", GROUP),
    ]
    monkeypatch.setattr(
        importlib.metadata, "entry_points",
        lambda *, group, name=None: [point for point in points if group == GROUP and name in (None, point.name)],
    )  # fmt: skip
    found = read_own_events("entry-point:some_app")
    assert [schema.fingerprint for schema in found.schemas] == [schema.fingerprint for schema in own.schemas]
    with pytest.raises(ConfigurationError, match=r"entry-point:other is no entry point of .*there are: broken, some_"):
        read_own_events("entry-point:other")
    with pytest.raises(ConfigurationError, match="entry-point:broken cannot be loaded: ModuleNotFoundError"):
        read_own_events("entry-point:broken")


def generated(own: OwnEvents, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that ``schemas generate`` makes."""
    module = ModuleType("generated_own_events")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # dataclasses look there for types
    exec(compile(own_event_classes(own.schemas), "generated", "exec"), module.__dict__)
    return module


def test_a_type_has_not_the_name_of_another_event(tmp_path: Path) -> None:
    write(tmp_path, "other_made", lambda source: None)
    write(tmp_path, change=lambda source: add(source, "kind", {**KIND, "name": "OtherMade"}))
    with pytest.raises(ConfigurationError, match="thing_made: the type OtherMade has the name of an event's class"):
        read_own_events(tmp_path)


def test_generated_classes_are_as_those_made_for_json(own: OwnEvents, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = own.schemas.latest("thing_made")
    module = generated(own, monkeypatch)
    point = {"x": 1, "y": 2}
    properties = {"kind": "SOMETHING", "isNew": True, "points": [point, point], "label": None}
    document = {"event": "thing_made", "properties": properties}
    made = event_from_json(document, schemas=own.catalog)
    written = module.ThingMade(
        kind=module.Kind("SOMETHING"), is_new=True, points=(module.Point(**point),) * 2, label=None
    )
    assert made.properties() == written.properties()
    assert event_to_json(made)["properties"] == {**properties, "kind": "OTHER"}
    assert written.TYPES.keys() == types_of(schema).keys() == {"Kind", "Point"}
    with pytest.raises(ValidationError, match=r"event: must be one of assistant_created, .*, thing_made"):
        event_from_json({"event": "other", "properties": {}}, schemas=own.catalog)
    with pytest.raises(ValidationError, match="event: must be one of"):
        event_from_json(document)


def test_no_text_of_a_schema_gets_out_of_its_docstring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ['"""\nimport os\n"""', 'it ends with "', "a \\", '\\"""', "\\u0022\\u0022\\u0022"]

    def change(source: Source) -> None:
        for number, text in enumerate(texts):
            add(source, "abcde"[number], COUNT)
            source["fields"][-1]["doc"] = text

    write(tmp_path, change=change)
    module = generated(read_own_events(tmp_path), monkeypatch)
    assert not hasattr(module, "os")
    assert module.ThingMade(a=1, b=2, c=3, d=4, e=5).properties() == {
        "version": None, "a": 1, "b": 2, "c": 3, "d": 4, "e": 5,
    }  # fmt: skip


def test_an_example_fits_its_schema(own: OwnEvents) -> None:
    event = example_of(own.schemas.latest("thing_made"))
    document = json.loads(json.dumps(event_to_json(event)))
    assert event_from_json(document, schemas=own.catalog).properties() == event.properties()
    assert (event.is_new, event.label, event.points[0].x) == (True, "aa", 1)
