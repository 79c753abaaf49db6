"""The wire between producers and a gateway: records in, what became of each out. Pure functions, no network.

A request is ``POST <endpoint>/v1/records`` with ``Authorization: Bearer <project key>``, ``Content-Type:
application/vnd.flowise-telemetry.records`` and ``Content-Encoding: gzip`` or none. Its body is one record after the
other, with nothing before, between or after them. Integers are signed and big-endian. A *field* is an int32 length
and so many bytes; the length -1 means null, and no bytes follow. A record is::

    key            field        the event's id, which decides the partition; a gateway refuses any other
    value          field        the framed bytes, exactly as they are on the topic
    timestamp_ms   int64        Kafka's timestamp, milliseconds since 1970; -1 for none: then the time of arrival
    header count   int32        0, as a gateway refuses headers; the format has them, for each:
      name         field        UTF-8, not null
      value        field

The topic is the gateway's. It hands on key, value and timestamp byte for byte. A body without records asks
whether the gateway works and takes the key.

Status 200 says what became of each record, in JSON: ``{"accepted": 41, "refused": [{"index": 3, "reason":
"constraint", "message": "…"}]}``. ``index`` counts from 0 in the order of the body, and each record is either
accepted or refused, so ``accepted`` and the refused are as many as were sent. An accepted record is in the gateway's
spool or acknowledged by the cluster. A refusal is final: the same bytes will be refused again. ``reason`` is for
programs and counters: that of a dead letter (``unknown_fingerprint``, ``constraint``, …), ``wrong_key``, ``header``, or
one that a producer does not know yet. ``message`` is for people; it never holds a value.

Every other status says that no record was taken, in JSON: ``{"error": "key_revoked", "message": "…"}``.

======================  ==============================  =======================================================
status                  ``error``                       what a producer does
======================  ==============================  =======================================================
401, 403                key_missing, key_unknown,       says so once; keeps the records, tries again seldom
                        key_revoked
413                     too_large                       halves the batch and sends both parts; one record alone
                                                        is refused
429, 503                rate_limited, unavailable       waits as ``Retry-After`` says (seconds), sends again
408, 5xx                any                             sends again, later and later
400, 415, other 4xx     malformed, unsupported, …       does not send these bytes again; says so
======================  ==============================  =======================================================

Anything else (no answer, a redirect, a 200 that is not the JSON above, as a captive portal gives) is as a 5xx. A
request whose answer was lost may have been accepted; sent again, its records are stored twice, and the consumer keeps
one of each event id.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from flowise_telemetry_transport.errors import TransportError
from flowise_telemetry_transport.types import Headers

__all__ = [
    "CONTENT_TYPE",
    "RECORDS_PATH",
    "Answer",
    "Refusal",
    "WireError",
    "WireRecord",
    "decode_answer",
    "decode_batch",
    "decode_error",
    "encode_answer",
    "encode_batch",
    "encode_error",
    "wire_bytes",
]

RECORDS_PATH = "/v1/records"
CONTENT_TYPE = "application/vnd.flowise-telemetry.records"

_NULL = -1
_NO_TIME = -1
_LENGTH = struct.Struct(">i")
_TAIL = struct.Struct(">qi")  # timestamp_ms, number of headers
_MAX_HEADERS = 1_000
_MAX_HEADERS_IN_ALL = 100_000


class WireError(TransportError):
    """A body or an answer is not of this format."""


class WireRecord(NamedTuple):
    """A record without its place: topic and partition are the gateway's to choose."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that the gateway will never take. ``index`` is its place in the batch, from 0."""

    index: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a batch: ``accepted`` are all that are not in ``refused``, which is in the order of the batch."""

    accepted: int
    refused: tuple[Refusal, ...] = ()


# -- records ------------------------------------------------------------------------------------------------------


def encode_batch(records: Iterable[WireRecord]) -> bytes:
    """Return the body of a request, not compressed."""
    body = bytearray()
    for key, value, headers, timestamp_ms in records:
        _put(body, key)
        _put(body, value)
        body += _TAIL.pack(_NO_TIME if timestamp_ms is None else timestamp_ms, len(headers))
        for name, content in headers:
            _put(body, name.encode())
            _put(body, content)
    return bytes(body)


def wire_bytes(record: WireRecord) -> int:
    """Return how many bytes ``encode_batch`` makes of a record."""
    size = 2 * _LENGTH.size + _TAIL.size + len(record.key or b"") + len(record.value or b"")
    return size + sum(2 * _LENGTH.size + len(name.encode()) + len(content or b"") for name, content in record.headers)


def decode_batch(body: bytes, *, max_records: int) -> list[WireRecord]:
    """Return the records of a body, already decompressed; an empty body has none.

    Raises ``WireError`` for a body that is cut short or no batch, and for one of more than ``max_records`` records, or
    of more than 100,000 headers in all. It takes nothing of such a body: where one length is wrong, no later record
    begins where it seems to.
    """
    records: list[WireRecord] = []
    place, end, headers = 0, len(body), 0
    while place < end:
        if len(records) >= max_records:
            raise WireError(f"the body has more than {max_records} records: send fewer at once")
        try:
            record, place = _record(body, place)
        except (struct.error, ValueError) as error:
            why = "a header's name is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            raise WireError(f"record {len(records)} of the body, from byte {place}: {why}") from error
        records.append(record)
        headers += len(record.headers)
        if headers > _MAX_HEADERS_IN_ALL:
            raise WireError(f"the body has more than {_MAX_HEADERS_IN_ALL} headers: send fewer at once")
    return records


def _record(body: bytes, place: int) -> tuple[WireRecord, int]:
    key, place = _take(body, place)
    value, place = _take(body, place)
    timestamp_ms, count = _TAIL.unpack_from(body, place)
    place += _TAIL.size
    if not 0 <= count <= _MAX_HEADERS:
        raise ValueError(f"the number of headers is not from 0 to {_MAX_HEADERS}")
    if timestamp_ms < _NO_TIME:
        raise ValueError("the timestamp is before 1970")
    headers = []
    for _ in range(count):
        name, place = _take(body, place)
        content, place = _take(body, place)
        if name is None:
            raise ValueError("a header's name is null")
        headers.append((name.decode(), content))
    return WireRecord(key, value, tuple(headers), None if timestamp_ms == _NO_TIME else timestamp_ms), place


def _put(body: bytearray, content: bytes | None) -> None:
    if content is None:
        body += _LENGTH.pack(_NULL)
    else:
        body += _LENGTH.pack(len(content))
        body += content


def _take(body: bytes, place: int) -> tuple[bytes | None, int]:
    (length,) = _LENGTH.unpack_from(body, place)
    place += _LENGTH.size
    if length == _NULL:
        return None, place
    if not 0 <= length <= len(body) - place:
        raise ValueError("a length reaches past the end of the body")
    return body[place : place + length], place + length


# -- answers ------------------------------------------------------------------------------------------------------


def encode_answer(answer: Answer) -> bytes:
    """Return the body of status 200."""
    refused = [asdict(refusal) for refusal in answer.refused]
    return json.dumps({"accepted": answer.accepted, "refused": refused}, separators=(",", ":")).encode()


def decode_answer(body: bytes, *, sent: int) -> Answer:
    """Return what became of a batch of ``sent`` records.

    Raises ``WireError`` unless it is an answer to so many: then nothing is known of any of them.
    """
    said = _object(body)
    try:
        accepted = said["accepted"]
        refused = tuple(
            Refusal(refusal["index"], str(refusal["reason"]), str(refusal.get("message", "")))
            for refusal in said.get("refused", [])
        )
        places = [refusal.index for refusal in refused]
        ordered = all(type(place) is int and 0 <= place < sent for place in places) and places == sorted(set(places))
    except (KeyError, TypeError, AttributeError) as error:
        raise WireError("the answer does not say what became of the records") from error
    if not ordered or type(accepted) is not int or accepted + len(refused) != sent:
        raise WireError(f"the answer does not account for the {sent} records sent")
    return Answer(accepted, refused)


def encode_error(error: str, message: str) -> bytes:
    """Return the body of every other status."""
    return json.dumps({"error": error, "message": message}, separators=(",", ":")).encode()


def decode_error(body: bytes) -> tuple[str, str]:
    """Return ``error`` and ``message`` of an answer other than 200; empty texts for what something else answered."""
    try:
        said = _object(body)
    except WireError:
        return "", ""
    error, message = said.get("error"), said.get("message")
    return error if isinstance(error, str) else "", message if isinstance(message, str) else ""


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError("the answer is not JSON") from error
    if not isinstance(said, dict):
        raise WireError("the answer is not a JSON object")
    return said
