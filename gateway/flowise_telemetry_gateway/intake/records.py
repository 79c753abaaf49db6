"""Records of our own producers: each is checked as the consumer would, and handed on byte for byte."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from flowise_telemetry_gateway.refusal import RefusedRequestError
from flowise_telemetry_schemas import Catalog, DecodeError, codec, violations
from flowise_telemetry_schemas.constraints import as_error
from flowise_telemetry_transport.gateway.wire import Refusal, WireError, WireRecord, decode_batch

__all__ = ["CheckedRecords", "check_records", "records_of"]


@dataclass(frozen=True, slots=True)
class CheckedRecords:
    """``good`` are handed on, each with its place in the batch; ``instances`` counts them by installation."""

    good: Sequence[tuple[int, WireRecord]]
    refused: Sequence[Refusal]
    instances: Counter[str] = field(default_factory=Counter)


def records_of(body: bytes, *, max_records: int) -> list[WireRecord]:
    """Return the records of a body. Raises ``RefusedRequestError``: 413 for more than so many, 400 for no batch."""
    try:
        return decode_batch(body, max_records=max_records)
    except WireError as error:
        if error.message.startswith("the body has more than"):
            raise RefusedRequestError(413, "too_large", error.message) from None
        raise RefusedRequestError(400, "malformed", error.message) from None


def check_records(
    records: Sequence[WireRecord],
    catalog: Catalog,
    *,
    most_seconds: float = float("inf"),
    clock: Callable[[], float] = time.monotonic,
) -> CheckedRecords:
    """Divide records by what the consumer would say of them; ``reason`` is that of its dead letter.

    A key that is not the event's id (``wrong_key``) and a header (``header``) are refused too: they would carry any
    text past the schema. Producers set no header, as the value itself names its schema.

    Raises ``RefusedRequestError`` (413) if it takes longer: a megabyte of empty items takes seconds to be found bad.
    """
    latest = clock() + most_seconds
    good: list[tuple[int, WireRecord]] = []
    refused: list[Refusal] = []
    instances: Counter[str] = Counter()
    for index, record in enumerate(records):
        if clock() > latest:
            raise RefusedRequestError(413, "too_large", "the records take too long to check: send fewer at once")
        if record.headers:
            refused.append(Refusal(index, "header", "the record has a header: send it without any"))
            continue
        try:
            schema, fields = codec.decode(record.value, catalog)
        except DecodeError as error:
            refused.append(Refusal(index, error.reason, error.message))
            continue
        found = violations(catalog.latest(schema.event), fields)
        if found:
            refused.append(Refusal(index, "constraint", str(as_error(schema.event, found))))
            continue
        if record.key != fields["eventId"].encode():
            refused.append(Refusal(index, "wrong_key", "the key is not the event's id: send eventId as the key"))
            continue
        instances[fields["instanceId"]] += 1
        good.append((index, record))
    return CheckedRecords(good, refused, instances)
