"""Records that no consumer may write, as a broken client or a stranger might send."""

from __future__ import annotations

import time

from flowise_telemetry.identity.uuid7 import Uuid7
from flowise_telemetry_schemas import AssistantCreated, Envelope, catalog
from flowise_telemetry_schemas.codec import HEADER_BYTES, MARKER, encode
from flowise_telemetry_transport import OutgoingRecord

__all__ = ["malformed_records"]

_ID = "0b7ac60e-51a4-4bb5-a6a5-f1ae0fd1cf8f"


def malformed_records(topic: str) -> list[OutgoingRecord]:
    """Return one record for each common defect, in the order of the consumer's checks."""
    now_ms = time.time_ns() // 1_000_000
    event_id = Uuid7().make(now_ms)
    record = {
        **Envelope(event_id, now_ms, _ID, _ID, 0).fields(),
        **AssistantCreated(version="3.0.1", assistant_id=_ID).properties(),
    }
    message = encode(catalog().latest("assistant_created"), record)
    values = [
        None,
        b"",
        b'{"event": "assistant_created"}',
        MARKER + bytes(8) + message[HEADER_BYTES:],
        message[:-5],
        message + b"more",
        # A version that breaks its pattern, of the same length.
        message.replace(b"3.0.1", b"a b c"),
    ]
    return [OutgoingRecord(topic, event_id.encode(), value) for value in values]
