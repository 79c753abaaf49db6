"""Events that another program made and a gateway hands on."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flowise_telemetry import DropReason, Limits, Telemetry, ValidationError
from flowise_telemetry_schemas import catalog, codec
from flowise_telemetry_transport import InMemoryBroker
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import prediction_sent, stored_records, tool_created

LAST_MONTH = datetime(2025, 10, 31, 23, 59, 59, 500_000, tzinfo=UTC)
LAST_MONTH_MS = 1_761_955_199_500
IDS = [f"0197a3b2-7c00-7000-8000-{number:012x}" for number in range(20)]
INSTALLATIONS = ["11111111-1111-8111-8111-111111111111", "22222222-2222-8222-8222-222222222222"]


def relayed(telemetry: Telemetry, number: int = 0, event_id: str | None = None) -> DropReason | None:
    return telemetry.relay(
        tool_created(number),
        event_id=event_id or IDS[number],
        occurred_at=LAST_MONTH_MS + number,
        instance_id=INSTALLATIONS[number % 2],
    )


def fields_of(broker: InMemoryBroker) -> list[dict[str, object]]:
    found = [codec.decode(record.value, catalog())[1] for record in stored_records(broker)]
    return sorted(found, key=lambda fields: fields["sequence"])


def test_a_relayed_event_keeps_its_envelope(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    telemetry = make_telemetry()
    assert (
        telemetry.relay(prediction_sent(), event_id=IDS[7], occurred_at=LAST_MONTH, instance_id=INSTALLATIONS[0])
        is None
    )
    telemetry.send_telemetry(tool_created(0))
    assert relayed(telemetry, 1) is None
    assert telemetry.flush(10.0)
    first, own, last = fields_of(broker)
    assert (first["eventId"], first["occurredAt"], first["instanceId"]) == (IDS[7], LAST_MONTH_MS, INSTALLATIONS[0])
    assert (last["eventId"], last["occurredAt"], last["instanceId"]) == (IDS[1], LAST_MONTH_MS + 1, INSTALLATIONS[1])
    assert own["instanceId"] not in INSTALLATIONS
    assert {fields["streamId"] for fields in (first, own, last)} == {telemetry.stats().stream_id}
    assert [fields["sequence"] for fields in (first, own, last)] == [0, 1, 2]
    assert {record.key for record in stored_records(broker)} == {
        str(fields["eventId"]).encode() for fields in (first, own, last)
    }


def test_what_is_withheld_of_a_sent_event_is_withheld_of_a_relayed_one(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker
) -> None:
    telemetry = make_telemetry(tool_names="off", ids="hashed")
    relayed(telemetry)
    relayed(telemetry, event_id=IDS[1])
    assert telemetry.flush(10.0)
    first, second = fields_of(broker)
    assert first["toolName"] is None
    assert first["toolId"] == second["toolId"] != tool_created(0).tool_id


def test_one_id_twice_in_flight_is_settled_twice(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    telemetry = make_telemetry()
    for _ in range(3):
        assert relayed(telemetry) is None
    assert telemetry.flush(10.0)
    stats = telemetry.stats()
    assert (stats.accepted, stats.sent, stats.buffered) == (3, 3, 0)
    assert len(stored_records(broker)) == 3


def test_what_finds_no_room_is_no_loss_of_this_stream(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    broker.down = True
    telemetry = make_telemetry(limits=Limits(buffer_max_events=2))
    assert [relayed(telemetry, number) for number in range(3)] == [None, None, DropReason.QUEUE_FULL]
    stats = telemetry.stats()
    assert (stats.accepted, stats.refused, stats.dropped_events) == (2, 0, 0)
    telemetry.send_telemetry(tool_created(9))  # its own, which nobody else has
    assert telemetry.stats().dropped == {"queue_full": 1}


def test_nothing_is_relayed_while_telemetry_is_off_or_closed(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, environ: dict[str, str]
) -> None:
    telemetry = make_telemetry()
    telemetry.close()
    assert relayed(telemetry) is DropReason.CLOSED
    off = make_telemetry(environ={**environ, "DISABLE_FLOWISE_TELEMETRY": "true"})
    assert relayed(off) is DropReason.OPTED_OUT
    assert stored_records(broker) == []


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"event_id": "0b7ac60e-51a4-4bb5-a6a5-f1ae0fd1cf8f"}, "eventId"),
        ({"event_id": None}, "eventId"),
        ({"occurred_at": 0}, "occurredAt"),
        ({"occurred_at": True}, "occurredAt"),
        ({"occurred_at": datetime(2025, 10, 31)}, "occurredAt"),
        ({"instance_id": "an organisation's id"}, "instanceId"),
    ],
)
def test_an_envelope_that_no_record_may_have_is_told(
    make_telemetry: MakeTelemetry, changed: dict[str, object], field: str
) -> None:
    given = {"event_id": IDS[0], "occurred_at": LAST_MONTH_MS, "instance_id": INSTALLATIONS[0], **changed}
    telemetry = make_telemetry()
    with pytest.raises(ValidationError) as told:
        telemetry.relay(tool_created(0), **given)  # type: ignore[arg-type]  # on purpose
    assert told.value.field == field
    assert "organisation" not in str(told.value)
    with pytest.raises(ValidationError, match="is no event"):
        telemetry.relay("text", event_id=IDS[0], occurred_at=LAST_MONTH_MS, instance_id=INSTALLATIONS[0])  # type: ignore[arg-type]  # on purpose


def test_relayed_events_wait_in_the_spool_and_leave_with_their_envelope(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, tmp_path: Path
) -> None:
    broker.down = True
    telemetry = make_telemetry(spool_dir=tmp_path / "spool")
    for number in range(5):
        assert relayed(telemetry, number) is None
    kept = threading.Event()
    telemetry.when_kept(kept.set)
    assert kept.wait(30.0)
    assert telemetry.stats().spooled == 5
    telemetry.close(timeout_seconds=0.1)
    broker.down = False
    second = make_telemetry(spool_dir=tmp_path / "spool")
    relayed(second, 5)
    while second.stats().sent < 6:
        second.flush(1.0)
    assert {fields["eventId"] for fields in fields_of(broker)} == set(IDS[:6])
    assert {fields["occurredAt"] for fields in fields_of(broker)} == {LAST_MONTH_MS + number for number in range(6)}


def test_when_nothing_was_sent_or_all_is_over_nobody_waits_to_be_called(make_telemetry: MakeTelemetry) -> None:
    telemetry = make_telemetry()
    kept = threading.Event()
    telemetry.when_kept(kept.set)
    assert kept.is_set()
    kept.clear()
    relayed(telemetry)
    telemetry.close()
    telemetry.when_kept(kept.set)
    assert kept.is_set()
