"""Encoder: from an event to the bytes that leave."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowise_telemetry.app_version import normalized_version
from flowise_telemetry.content import Content
from flowise_telemetry.encoding.compiled import CompiledEncoder, Refused
from flowise_telemetry.encoding.given_envelope import GivenEnvelope
from flowise_telemetry.encoding.size import event_bytes
from flowise_telemetry.encoding.withholding import Withheld, Withholding
from flowise_telemetry.identity.instance_id import InstanceId
from flowise_telemetry.identity.stream import StreamCounts
from flowise_telemetry.identity.uuid7 import Uuid7
from flowise_telemetry.own_events import name_of_own
from flowise_telemetry_schemas import codec
from flowise_telemetry_schemas.catalog import Catalog, catalog
from flowise_telemetry_schemas.constraints import validate
from flowise_telemetry_schemas.envelope import STREAM_STATE, VERSION_FIELD, Envelope
from flowise_telemetry_schemas.errors import ValidationError
from flowise_telemetry_schemas.event_schema import EventSchema
from flowise_telemetry_schemas.events import CLASSES, EVENT_CLASSES, Event
from flowise_telemetry_schemas.symbols import with_known_symbols

if TYPE_CHECKING:
    from flowise_telemetry.own_events import AppEvents
    from flowise_telemetry_schemas.own_events import OwnEvent

__all__ = ["Encoded", "Encoder", "check_event", "event_name", "new_stream_id"]

_CLASSES = tuple(EVENT_CLASSES.values())
_DROPPED = {
    "queue_full": "droppedQueueFull",
    "invalid": "droppedInvalid",
    "too_large": "droppedTooLarge",
    "expired": "droppedExpired",
    "closed": "droppedClosed",
    "rejected": "droppedRejected",
}
"""The field of each reason; ``opted_out`` has none, because nothing is sent after an opt-out."""
_MAX_WITHHELD = 200  # of stream_state; the events have few fields
_MONTHS_AT_ONCE = 3  # what is relayed may be of last month, or, by a clock that is ahead, of the next
_ANY_TIME_MS = 1_735_689_600_000
_OVERHEAD_BYTES = 1_400  # measured: the object, its key, its callbacks, librdkafka's own record


@dataclass(slots=True, eq=False)
class Encoded:
    """An event, or a control record, ready to be sent.

    ``sequence`` is its number in this process; -1 for one that an earlier process left in the spool, and for control
    records. ``accepted_at_ms`` is when the process accepted it, which is when it occurred unless it is relayed, in
    milliseconds since 1970; ``accepted_at`` the same by the monotonic clock. ``row`` is its row in the spool, 0 if it
    has none. ``undated`` says that it was sent without a time of Kafka's. ``withheld`` names the values that are not
    in it.
    """

    event: str
    event_id: str
    accepted_at_ms: int
    sequence: int
    value: bytes = field(repr=False)
    row: int = 0
    accepted_at: float = 0.0
    undated: bool = False
    withheld: Sequence[Withheld] = ()

    @property
    def is_control(self) -> bool:
        """True for a record that the producer makes of itself; it is in no count of events."""
        return self.event == STREAM_STATE

    @property
    def key(self) -> bytes:
        """The record's key, which puts a resent event on the same partition."""
        return self.event_id.encode("ascii")

    @property
    def held_bytes(self) -> int:
        """Memory in use for it, including the client's copy of the bytes."""
        return 2 * len(self.value) + _OVERHEAD_BYTES


def new_stream_id() -> str:
    """Return a random id for one ``Telemetry`` in one process."""
    return str(uuid.uuid4())


def event_name(event: object) -> str | None:
    """Return the name of an event; None for anything else."""
    for kind in _CLASSES:
        if isinstance(event, kind):
            return kind.EVENT
    return None


def check_event(event: Any, app_version: str, own: AppEvents | None = None) -> None:
    """Raise ``ValidationError`` for what would be dropped as invalid, or lose a value that breaks its bounds."""
    try:
        if own is None or own.bytes_of(event) is None:
            event_bytes(event)
        schemas = None if own is None else own.schemas
        Encoder(app_version, InstanceId(b""), new_stream_id(), schemas=schemas).check(event)
    except ValidationError:
        raise
    except Exception as error:
        message = f"reading the event raises {type(error).__name__}"
        raise ValidationError(message, event=None, field=None, rule="type") from error


class Encoder:
    """The only place that makes records and their bytes; ``schemas`` None: those of the shipped events."""

    def __init__(
        self,
        app_version: str,
        instance_id: InstanceId,
        stream_id: str,
        content: Content | None = None,
        *,
        schemas: Catalog | None = None,
    ) -> None:
        content = content or Content()
        self._schemas = schemas or catalog()
        self._app_version = app_version
        self._instance_id = instance_id
        self._stream_id = stream_id
        self._withholding = Withholding(content, instance_id)
        self._of_own = Withholding(content.of_own(), instance_id) if schemas is not None else self._withholding
        self._ids = Uuid7()
        self._fast: dict[
            str, dict[type, CompiledEncoder | None]
        ] = {}  # by month: what is compiled has hashed ids in it

    def encode(
        self, event: Event | OwnEvent, sequence: int, accepted_at_ms: int, given: GivenEnvelope | None = None
    ) -> Encoded:
        """Return the encoded event; it occurred when it was accepted, unless a ``given`` envelope says more.

        Raises ``ValidationError``, or any exception for an object that lies about its class.
        """
        kind = type(event)
        occurred_at_ms = accepted_at_ms if given is None else given.occurred_at_ms
        month = self._instance_id.at(occurred_at_ms)
        instance_id = month if given is None else given.instance_id
        compiled = self._fast.get(month) or self._begin_month(month)
        fast = compiled[kind] if kind in compiled else self._compile(compiled, kind, occurred_at_ms)
        if fast is not None:
            event_id = self._ids.make(occurred_at_ms) if given is None else given.event_id
            try:
                value = fast.encode(event, event_id, occurred_at_ms, instance_id, sequence)
            except Exception:  # noqa: S110 - the codec decides, below
                pass
            else:
                return Encoded(kind.EVENT, event_id, accepted_at_ms, sequence, value, withheld=tuple(fast.withheld))
        schema, record = self.record(event, sequence, occurred_at_ms)
        if given is not None:
            record |= {"eventId": given.event_id, "instanceId": given.instance_id}
        withheld = self._withholding_of(schema).apply(schema, record)
        value = codec.encode(schema, record)
        return Encoded(schema.event, record["eventId"], accepted_at_ms, sequence, value, withheld=withheld)

    def _begin_month(self, month: str) -> dict[type, CompiledEncoder | None]:
        while len(self._fast) >= _MONTHS_AT_ONCE:
            del self._fast[next(iter(self._fast))]
        return self._fast.setdefault(month, {})

    def _compile(
        self, compiled: dict[type, CompiledEncoder | None], kind: type[Event | OwnEvent], occurred_at_ms: int
    ) -> CompiledEncoder | None:
        compiled[kind] = None
        own = kind not in _CLASSES and "TYPES" in vars(kind) and self._is_own(kind)
        if own or kind in _CLASSES:
            schema = self._schemas.latest(kind.EVENT)
            with contextlib.suppress(Refused):
                compiled[kind] = CompiledEncoder(
                    schema,
                    app_version=self._app_version,
                    stream_id=self._stream_id,
                    withholding=self._withholding_of(schema),
                    in_month_ms=occurred_at_ms,
                    types=vars(kind)["TYPES"] if own else CLASSES,
                )
        return compiled[kind]

    def _is_own(self, kind: type[Any]) -> bool:
        """Return True for a class that tells its event itself: one derived from it may have other properties."""
        name = vars(kind).get("EVENT")
        return type(name) is str and name in self._schemas.events and self._schemas.latest(name).is_own

    def _withholding_of(self, schema: EventSchema) -> Withholding:
        return self._of_own if schema.is_own else self._withholding

    def record(self, event: Event | OwnEvent, sequence: int, occurred_at_ms: int) -> tuple[EventSchema, dict[str, Any]]:
        """Return the schema and the record, nothing withheld. Raises ``ValidationError`` for what is no event."""
        name = event_name(event) or name_of_own(event, self._schemas)
        if name is None:
            known = ", ".join(self._schemas.latest(each).name for each in self._schemas.events)
            raise ValidationError(
                f"a {type(event).__name__} is not an event: pass one of {known}, or use event_from_json",
                event=None,
                field=None,
                rule="type",
            )
        record = {**self._envelope(sequence, occurred_at_ms), **event.properties()}
        if record[VERSION_FIELD] is None:
            record[VERSION_FIELD] = self._app_version
        return self._schemas.latest(name), record

    def encode_state(self, counts: StreamCounts, *, sequence: int, occurred_at_ms: int, ended: bool) -> Encoded:
        """Return the ``stream_state`` record of these counts; ``sequence`` counts those of the stream.

        Raises ``ValidationError`` for a time that no record may have.
        """
        schema = self._schemas.latest(STREAM_STATE)
        record = {
            **self._envelope(sequence, occurred_at_ms),
            VERSION_FIELD: self._app_version,
            "numbered": counts.numbered,
            "waiting": counts.waiting,
            **{field: counts.dropped.get(reason, 0) for reason, field in _DROPPED.items()},
            "withheld": [
                {"event": event, "field": path, "rule": rule, "values": values}
                for (event, path, rule), values in sorted(counts.withheld.items())[:_MAX_WITHHELD]
            ],
            "ended": ended,
        }
        return Encoded(STREAM_STATE, record["eventId"], occurred_at_ms, -1, codec.encode(schema, record))

    def _envelope(self, sequence: int, occurred_at_ms: int) -> dict[str, Any]:
        envelope = Envelope(
            self._ids.make(occurred_at_ms),
            occurred_at_ms,
            self._instance_id.at(occurred_at_ms),
            self._stream_id,
            sequence,
        )
        return envelope.fields()

    def check(self, event: Any) -> None:
        """Raise ``ValidationError`` for an event that breaks its schema, also where that costs it a value alone."""
        schema, record = self.record(event, 0, _ANY_TIME_MS)
        record[VERSION_FIELD] = normalized_version(record[VERSION_FIELD]) or record[VERSION_FIELD]
        validate(schema, with_known_symbols(schema, record))
