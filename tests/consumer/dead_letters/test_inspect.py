from __future__ import annotations

import dataclasses

from flowise_telemetry_consumer.dead_letters.inspect import inspect
from flowise_telemetry_schemas import catalog
from flowise_telemetry_schemas.codec import MARKER
from tests.consumer.world import value_of


def test_bytes_are_decoded_as_far_as_they_go() -> None:
    whole = value_of(3)
    found = inspect(whole, catalog())
    assert found.schema is catalog().latest("tool_created")
    assert (found.error, found.broken_rules) == (None, ())
    assert [field.name for field in found.fields] == [field.name for field in found.schema.fields]
    assert (found.fields[0].start, found.fields[-1].end) == (10, len(whole))

    cut = inspect(whole[:60], catalog())
    assert [field.name for field in cut.fields] == ["eventId", "occurredAt"]
    assert cut.error is not None
    assert cut.error.startswith("instanceId at byte 53 is not a valid uuid (")

    assert inspect(whole + b"??", catalog()).error == "2 bytes follow the record"
    broken = inspect(whole.replace(b"3.0.1", b"a b c"), catalog())
    assert [rule.field for rule in broken.broken_rules] == ["version"]

    for value, error in (
        (None, "the record has no value"),
        (b"text", "the value does not start with C3 01"),
        (MARKER + bytes(8), "no schema has the fingerprint 0000000000000000"),
    ):
        assert inspect(value, catalog()) == dataclasses.replace(inspect(b"", catalog()), error=error)


def test_every_event_can_be_looked_into() -> None:
    for number in range(6):
        assert inspect(value_of(number), catalog()).error is None
