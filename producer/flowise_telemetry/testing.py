"""Test support for apps: a ``Telemetry`` that keeps its events in memory, and assertions about them.

    recorder = TelemetryRecorder()
    make_tool(recorder.telemetry)
    recorder.assert_sent("tool_created", toolName="get_weather")

In pytest it is the fixture ``telemetry_recorder``, without any set-up.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from flowise_telemetry import environment
from flowise_telemetry.telemetry import Telemetry
from flowise_telemetry_schemas import codec
from flowise_telemetry_schemas.catalog import catalog
from flowise_telemetry_schemas.event_schema import EventSchema
from flowise_telemetry_schemas.events import Event
from flowise_telemetry_schemas.own_events import OwnEvent, read_own_events
from flowise_telemetry_transport.types import Delivery, OnDelivery, OutgoingRecord

if TYPE_CHECKING:
    from flowise_telemetry_schemas.own_events import Place

__all__ = ["RecordedEvent", "TelemetryRecorder"]

_WAIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event as Kafka would have received it, decoded from its bytes.

    ``record`` is the whole record with the names of the schema; ``properties`` omits the envelope.
    """

    event: str
    record: dict[str, Any]

    @property
    def properties(self) -> dict[str, Any]:
        """The event's own fields, including ``version``."""
        return {name: value for name, value in self.record.items() if name not in _ENVELOPE}


_ENVELOPE = ("eventId", "occurredAt", "instanceId", "streamId", "sequence")


class _Memory:
    """A ``RecordWriter`` that appends to a list."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.values: list[bytes | None] = []

    def send(self, record: OutgoingRecord, on_delivery: OnDelivery) -> None:
        with self.lock:
            offset = len(self.values)
            self.values.append(record.value)
        on_delivery(Delivery(record.topic, 0, offset), None)

    def poll(self) -> None: ...

    def flush(self, *, timeout_seconds: float) -> int:
        return 0

    def close(self, *, timeout_seconds: float) -> None: ...


class TelemetryRecorder:
    """Records the events that an app sends: give ``telemetry`` to the app, then call the assertions.

    A context manager that closes ``telemetry``, which is on whatever the environment says, reads no ``.env``, creates
    no file and connects to nothing. With ``strict``, the default, a bad event raises ``ValidationError``. ``schemas``
    names events of the app's own, as it does for ``Telemetry``.
    """

    def __init__(self, *, app_version: str = "0.0.0", strict: bool = True, schemas: Place | None = None) -> None:
        self._memory = _Memory()
        self._schemas = catalog() if schemas is None else read_own_events(schemas).catalog
        self.telemetry = Telemetry(
            app_version=app_version,
            strict=strict,
            environ={environment.INSTANCE_SECRET: "for the tests of an app"},
            env_file=os.devnull,
            writer_factory=lambda: self._memory,
            schemas=schemas,
        )

    def events(self, name: str | None = None) -> list[RecordedEvent]:
        """Return the events sent so far, in order; only those of that name if one is given. No control records."""
        assert self.telemetry.flush(_WAIT_SECONDS), "events were not encoded within 10 s"  # noqa: S101 - for tests
        with self._memory.lock:
            values = list(self._memory.values)
        decoded = (codec.decode(value, self._schemas) for value in values)
        found = [RecordedEvent(schema.event, record) for schema, record in decoded if not schema.control]
        return [event for event in found if name is None or event.event == name]

    def assert_sent(
        self, event: Event | OwnEvent | str, *, times: int | None = None, **properties: Any
    ) -> list[RecordedEvent]:
        """Fail unless an equal event, or one of that name with these properties, was sent; return the matches.

        ``times`` is the exact number of matches. Properties have the names of the constructors or those of the schema:
        ``tool_name="get_weather"`` or ``toolName="get_weather"``. Raises ``AssertionError``, and ``ValueError`` for an
        unknown name of an event or a property.
        """
        name = event if isinstance(event, str) else event.EVENT
        if name not in self._schemas.events:
            raise ValueError(f"unknown event {name!r}; there are: {', '.join(self._schemas.events)}")
        wanted = _in_wire_form(self._schemas.latest(name), properties)
        if not isinstance(event, str):
            wanted = {**event.properties(), **wanted}
            if wanted["version"] is None:
                del wanted["version"]
        all_sent = self.events()
        found = [
            sent
            for sent in all_sent
            if sent.event == name and all(sent.record.get(key, _MISSING) == value for key, value in wanted.items())
        ]
        enough = len(found) == times if times is not None else bool(found)
        if not enough:
            how_often = "at least once" if times is None else f"{times} times"
            shown = "\n".join(f"  {sent.event} {sent.properties}" for sent in all_sent) or "  nothing"
            raise AssertionError(f"expected {how_often}: {name} with {wanted}\nsent:\n{shown}")
        return found

    def assert_nothing_sent(self) -> None:
        """Fail if any event was sent."""
        sent = self.events()
        if sent:
            shown = "\n".join(f"  {event.event} {event.properties}" for event in sent)
            raise AssertionError(f"expected no events\nsent:\n{shown}")

    def clear(self) -> None:
        """Forget the events sent so far."""
        self.events()
        with self._memory.lock:
            self._memory.values.clear()

    def close(self) -> None:
        """End the thread of ``telemetry``."""
        self.telemetry.close(timeout_seconds=_WAIT_SECONDS)

    def __enter__(self) -> TelemetryRecorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_MISSING = object()


def _in_wire_form(schema: EventSchema, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties with the names and values of the schema."""
    fields = schema.fields
    names = {spelling: field.name for field in fields for spelling in (field.name, field.column, *field.aliases)}
    unknown = [name for name in properties if name not in names]
    if unknown:
        known = ", ".join(field.column for field in fields)
        raise ValueError(f"{schema.event} has no {', '.join(unknown)}; there are: {known}")
    return {
        names[name]: value.properties() if hasattr(value, "properties") else value for name, value in properties.items()
    }
