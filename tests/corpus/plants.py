"""Where a text may be planted, and what of it arrives by each way in."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro

from flowise_telemetry import Event, ValidationError
from flowise_telemetry.content import Content
from flowise_telemetry.encoding.encoder import Encoder
from flowise_telemetry.identity.instance_id import InstanceId
from flowise_telemetry_consumer.archives.file_archive import FileArchive
from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_consumer.decoding.frames import wire_records
from flowise_telemetry_consumer.sinks.rows import newest
from flowise_telemetry_schemas import Edge, FlowGraph, catalog, codec, event_from_json
from flowise_telemetry_schemas.codec import MARKER
from flowise_telemetry_schemas.events import EVENT_CLASSES
from flowise_telemetry_transport import Record
from tests.schemas.records import ENVELOPE, EVENTS, STATE, record_of

__all__ = ["PLACES", "WAYS", "Place", "fitting"]

_RECORDS = {event.EVENT: record_of(event) for event in EVENTS} | {"stream_state": STATE}
_ENVELOPE = tuple(ENVELOPE.fields())


@dataclass(frozen=True)
class Place:
    """A field of an event. ``suffix`` is what a text needs behind it to pass for a node's id."""

    event: str
    field: str
    suffix: str = ""

    def record(self, text: str) -> dict[str, Any]:
        """A record with the text in this field, and nothing else wrong."""
        found: dict[str, Any] = json.loads(json.dumps(_RECORDS[self.event]))
        text += self.suffix
        match self.field.split("."):
            case ["flowGraph", "nodes"]:
                found["flowGraph"]["nodes"][0] = text
            case ["flowGraph", "edges", end]:
                found["flowGraph"]["edges"][0][end] = text
            case ["withheld", name]:
                found["withheld"][0][name] = text
            case _:
                found[self.field] = text
        return found

    def __str__(self) -> str:
        return f"{self.event}.{self.field}" + (f" with {self.suffix}" if self.suffix else "")

    @property
    def is_made_by_the_producer(self) -> bool:
        """True for fields that no app fills."""
        return self.event == "stream_state" or self.field in _ENVELOPE


_ENDS = ("flowGraph.nodes", "flowGraph.edges.source", "flowGraph.edges.target")
PLACES = (
    *(Place("prediction_sent", name) for name in ("eventId", "instanceId", "streamId")),
    *(Place("prediction_sent", name) for name in ("version", "chatflowId", "chatId")),
    *(Place("prediction_sent", name, suffix) for name in _ENDS for suffix in ("", "_0")),
    *(Place("vector_upserted", "stopNodeId", suffix) for suffix in ("", "_0")),
    *(Place("tool_created", name) for name in ("toolId", "toolName")),
    Place("assistant_created", "assistantId"),
    *(Place("stream_state", f"withheld.{name}") for name in ("event", "field", "rule")),
)

Plant = tuple[Place, str]


def by_call(plants: Iterable[Plant], content: Content) -> Iterator[Plant]:
    """An app makes the event and calls ``send_telemetry``."""
    return _by_producer(plants, _event, content)


def by_send(plants: Iterable[Plant]) -> Iterator[Plant]:
    """A line of JSON goes through ``flowise-telemetry send``."""
    return _by_producer(plants, _event_of_line, Content())


def _by_producer(
    plants: Iterable[Plant], make: Callable[[Place, dict[str, Any]], Event], content: Content
) -> Iterator[Plant]:
    encoder = Encoder("3.0.1", InstanceId(b"secret"), ENVELOPE.stream_id, content)
    for place, text in plants:
        if place.is_made_by_the_producer:
            continue
        own = {name: value for name, value in place.record(text).items() if name not in _ENVELOPE}
        try:
            value = encoder.encode(make(place, own), 0, ENVELOPE.occurred_at_ms).value
        except ValidationError:
            continue
        if text + place.suffix in set(_texts(codec.decode(value, catalog())[1])):
            yield place, text


def _event_of_line(place: Place, own: dict[str, Any]) -> Event:
    return event_from_json({"event": place.event, "properties": own}, bounds=False)


def _event(place: Place, own: dict[str, Any]) -> Event:
    """The event, whatever is in it: a class checks nothing."""
    values = {field.column: own[field.name] for field in catalog().latest(place.event).fields if field.name in own}
    if "flow_graph" in values:
        graph = values["flow_graph"]
        values["flow_graph"] = FlowGraph(tuple(graph["nodes"]), tuple(Edge(**edge) for edge in graph["edges"]))
    return EVENT_CLASSES[place.event](**values)


def by_import(plants: Iterable[Plant], folder: Path) -> Iterator[Plant]:
    """A line of JSON goes through ``flowise-telemetry import``."""
    file = folder / "corpus.jsonl"
    given = list(plants)
    with file.open("w", encoding="utf-8") as lines:
        for number, (place, text) in enumerate(given):
            properties = place.record(text) | {"sequence": number}
            lines.write(json.dumps({"event": place.event, "properties": properties}) + "\n")
    schemas = newest(catalog())
    for portion in FileArchive([str(file)], schemas).portions(list(schemas)):
        yield from _arrived(given, portion.frames)


def by_avro(plants: Iterable[Plant], _: Path) -> Iterator[Plant]:
    """Whoever may write to the topic puts Avro there that no producer of ours has seen."""
    given = list(plants)
    records = []
    for number, (place, text) in enumerate(given):
        schema = catalog().latest(place.event)
        body = io.BytesIO()
        fastavro.schemaless_writer(body, schema.wire, place.record(text) | {"sequence": number})
        value = MARKER + schema.fingerprint + body.getvalue()
        records.append(Record("topic", 0, number, 0, None, value, ()))
    yield from _arrived(given, Decoder(catalog()).decode(records).frames)


def _arrived(given: list[Plant], frames: Mapping[str, Any]) -> Iterator[Plant]:
    for event, frame in frames.items():
        for record in wire_records(catalog().latest(event), frame):
            place, text = given[record["sequence"]]
            if text + place.suffix in set(_texts(record)):
                yield place, text


WAYS: dict[str, Callable[[Iterable[Plant], Path], Iterator[Plant]]] = {
    "call": lambda plants, _: by_call(plants, Content()),
    "call, ids hashed and tool names off": lambda plants, _: by_call(plants, Content(hash_ids=True, tool_names=False)),
    "send": lambda plants, _: by_send(plants),
    "import": by_import,
    "avro": by_avro,
}


def fitting(way: str, texts: Iterable[str], folder: Path) -> dict[str, Counter[str]]:
    """How many of the texts arrive in each field, by the field; with the texts."""
    found: dict[str, Counter[str]] = {str(place): Counter() for place in PLACES}
    for place, text in WAYS[way]([(place, text) for place in PLACES for text in texts], folder):
        found[str(place)][text] += 1
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
