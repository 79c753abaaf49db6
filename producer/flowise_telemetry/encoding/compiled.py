"""Encoder compiled from a schema: events to Avro binary without a record in between, five times as fast as the codec.

It checks the schema's constraints and raises ``Refused`` for anything that is not exactly as expected, or may not be
sent as it is; withholding and the codec then decide, and name what is wrong. So they alone define what is valid, and
this is a fast path for what plainly is. A test holds both to the same bytes.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from flowise_telemetry.encoding.value_cache import Write, cached
from flowise_telemetry.encoding.withholding import NOT_A_UUID, Withheld, Withholding
from flowise_telemetry_schemas.codec import MARKER
from flowise_telemetry_schemas.envelope import ENVELOPE_FIELDS, VERSION_FIELD
from flowise_telemetry_schemas.event_schema import EventSchema
from flowise_telemetry_schemas.events import CLASSES
from flowise_telemetry_schemas.field import Field
from flowise_telemetry_schemas.varint import encode_long, encode_unsigned

__all__ = ["CompiledEncoder", "Refused"]

_ARRAY_CACHE_MAX_ENTRIES = 128  # with the items below, a few MiB even if all ids have their full length
_ARRAY_CACHE_MAX_ITEMS = 32

Types = Mapping[str, type[Any]]
NewText = Callable[[Field], Write]
"""Makes the writer of one text field."""


class Refused(Exception):  # noqa: N818 - not an error: the codec decides
    """The fast path cannot tell that the value is valid."""


_FIRST_BYTES = tuple(bytes([low << 1 | 0x80]) for low in range(64))  # of a varint of two or more bytes


class CompiledEncoder:
    """Encoder of one kind of event; ``stream_id`` and ``app_version`` are the same for all its messages.

    Where ids are hashed, it is that of one month: ``in_month_ms`` is a time in it, in milliseconds since 1970. The
    classes of nested records are ``types``, by their Avro name.
    """

    def __init__(
        self,
        schema: EventSchema,
        *,
        app_version: str,
        stream_id: str,
        withholding: Withholding | None = None,
        in_month_ms: int = 0,
        types: Types = CLASSES,
    ) -> None:
        fields = {field.name: field for field in schema.fields}
        own = schema.fields[len(ENVELOPE_FIELDS) :]
        if tuple(fields)[: len(ENVELOPE_FIELDS)] != ENVELOPE_FIELDS or own[0].name != VERSION_FIELD:
            raise Refused(schema.event)
        self._head = MARKER + schema.fingerprint + encode_long(fields["eventId"].max_length or 0)
        self._occurred_at = _integer(fields["occurredAt"])
        self._instance_id = _text(fields["instanceId"])
        self._stream_id = _text(fields["streamId"])(stream_id)
        self._sequence = _integer(fields["sequence"])
        self._max_sequence = fields["sequence"].maximum or 0
        self._rest_of_sequence = cached(encode_unsigned)  # without its lowest six bits: the same for 64 events
        self._who_and_when = b""  # occurredAt, instanceId, streamId: the same for all events of a millisecond
        self._at: tuple[int, str] | None = None
        version = _new_text(own[0])

        self.withheld: list[Withheld] = []
        """What the latest message withholds."""

        def new_text(field: Field) -> Write:
            if withholding is None:
                return _text(field)
            if (hash_of := withholding.hash_unless_uuid(field, in_month_ms)) is not None:
                return self._new_given_id(field, hash_of)
            return cached(
                _new_text(field, as_it_is=withholding.as_it_is(field), hashed=withholding.hashed(field, in_month_ms))
            )

        if withholding is not None and any(map(withholding.is_undisclosed, own)):
            raise Refused(schema.event)
        leaves = dict(_leaves(own[1:], new_text, types))
        get = operator.attrgetter(own[0].column, *leaves)
        self._get = get if leaves else lambda event: (get(event),)  # of one attribute it returns no tuple
        self._writers = (cached(lambda given: version(app_version if given is None else given)), *leaves.values())

    def encode(self, event: Any, event_id: str, occurred_at_ms: int, instance_id: str, sequence: int) -> bytes:
        """Return the message. ``event_id`` is not checked.

        Raises ``Refused``, or any exception for an object that lies about its class.
        """
        if self.withheld:
            self.withheld = []
        if self._at != (occurred_at_ms, instance_id):
            self._at = None
            self._who_and_when = self._occurred_at(occurred_at_ms) + self._instance_id(instance_id) + self._stream_id
            self._at = (occurred_at_ms, instance_id)
        return b"".join([
            self._head,
            event_id.encode(),
            self._who_and_when,
            _FIRST_BYTES[sequence & 63] + self._rest_of_sequence(sequence >> 6)
            if 64 <= sequence <= self._max_sequence
            else self._sequence(sequence),
            *[write(value) for write, value in zip(self._writers, self._get(event), strict=True)],
        ])  # fmt: skip

    def _new_given_id(self, field: Field, hash_of: Callable[[str], str]) -> Write:
        """Return a writer for an id that a caller chose: a UUID as it is, of anything else the hash."""
        write_uuid = _text(field)
        match = re.compile(field.pattern or "$^").fullmatch

        def write(value: Any) -> bytes:
            if type(value) is not str:
                raise Refused(field.name)
            if match(value):
                return write_uuid(value)
            if match(value.lower()):
                raise Refused(field.name)
            self.withheld.append((field.name, NOT_A_UUID))
            return write_uuid(hash_of(value))

        return write


def _leaves(fields: Iterable[Field], new_text: NewText, types: Types, prefix: str = "") -> Iterator[tuple[str, Write]]:
    """Yield a writer for each attribute path of the event; a record is followed by its fields."""
    for field in fields:
        path = prefix + field.column
        if field.kind == "record" and not field.nullable:
            yield path, _nothing(_type_of(field, types))
            yield from _leaves(field.fields, new_text, types, f"{path}.")
        else:
            yield path, _writer(field, new_text, types)


def _nothing(kind: type) -> Write:
    """Return a writer that only checks the class: a record has no bytes besides those of its fields."""

    def write(value: Any) -> bytes:
        if type(value) is not kind:
            raise Refused(kind.__name__)
        return b""

    return write


def _type_of(field: Field, types: Types) -> type[Any]:
    kind = types.get(str(field.type_name))
    if not isinstance(kind, type):
        raise Refused(field.type_name)
    return kind


def _writer(field: Field, new_text: NewText, types: Types) -> Write:
    match field.kind:
        case "string" | "uuid":
            write = new_text(field)
        case "array":
            write = _array(field, new_text, types)
        case kind:
            write = _WRITERS[kind](field)
    if not field.nullable:
        return write

    def write_nullable(value: Any) -> bytes:
        return b"\x00" if value is None else b"\x02" + write(value)

    return write_nullable


def _new_text(
    field: Field, *, as_it_is: Callable[[str], bool] | None = None, hashed: Callable[[str], str] | None = None
) -> Write:
    match = re.compile(field.pattern or "$^").fullmatch
    max_length = field.max_length or 0

    def write(value: Any) -> bytes:
        if type(value) is not str or len(value) > max_length or not match(value):
            raise Refused(field.name)
        if as_it_is is not None and not as_it_is(value):
            raise Refused(field.name)
        raw = (value if hashed is None else hashed(value)).encode()
        return encode_long(len(raw)) + raw

    return write


def _text(field: Field) -> Write:
    return cached(_new_text(field))


def _integer(field: Field) -> Write:
    bits = 31 if field.kind == "int" else 63
    minimum = -(1 << bits) if field.minimum is None else field.minimum
    maximum = (1 << bits) - 1 if field.maximum is None else field.maximum

    def write(value: Any) -> bytes:
        if type(value) is not int or not minimum <= value <= maximum:
            raise Refused(field.name)
        return encode_long(value)

    return write


def _enum(field: Field) -> Write:
    known = {symbol: encode_long(index) for index, symbol in enumerate(field.symbols)}

    def write(value: Any) -> bytes:
        if not isinstance(value, str) or value not in known:
            raise Refused(field.name)
        return known[value]

    return write


def _boolean(field: Field) -> Write:
    def write(value: Any) -> bytes:
        if type(value) is not bool:
            raise Refused(field.name)
        return b"\x01" if value else b"\x00"

    return write


def _array(field: Field, new_text: NewText, types: Types) -> Write:
    """Return a writer for an array of ids, or of records of ids: few such arrays are new, and fewer of their items."""
    item, max_items = field.items, field.max_items or 0
    if item is None or item.nullable:
        raise Refused(field.name)
    take, write_item = (
        (None, cached(_writer(item, new_text, types))) if item.kind != "record" else _apart(item, new_text, types)
    )

    def write_items(values: Any) -> bytes:
        return b"".join([encode_long(len(values)), *map(write_item, values), b"\x00"])

    look_up = cached(write_items, _ARRAY_CACHE_MAX_ENTRIES)

    def write(value: Any) -> bytes:
        if type(value) is not tuple or len(value) > max_items:
            raise Refused(field.name)
        if not value:
            return b"\x00"
        values = value if take is None else take(value)
        return look_up(values) if len(values) <= _ARRAY_CACHE_MAX_ITEMS else write_items(values)

    return write


def _apart(item: Field, new_text: NewText, types: Types) -> tuple[Callable[[Any], Any], Write]:
    """Return a function that turns records into tuples of their values, and a writer for such a tuple."""
    kinds = {_type_of(item, types)}
    if len(item.fields) == 1 or any(below.kind != "string" or below.nullable for below in item.fields):
        raise Refused(item.type_name)  # no schema of ours has such a record
    get = operator.attrgetter(*(below.column for below in item.fields))
    writers = tuple(_writer(below, new_text, types) for below in item.fields)

    def take(values: Any) -> Any:
        if set(map(type, values)) != kinds:
            raise Refused(item.type_name)
        return tuple(map(get, values))

    def write(values: Any) -> bytes:
        return b"".join([write(value) for write, value in zip(writers, values, strict=True)])

    return take, cached(write)


def _never(field: Field) -> Write:
    raise Refused(field.name)


_WRITERS: dict[str, Callable[[Field], Write]] = {
    "enum": _enum,
    "int": _integer,
    "long": _integer,
    "timestamp": _integer,
    "boolean": _boolean,
    "record": _never,  # a nullable one; _leaves takes the others apart
}
