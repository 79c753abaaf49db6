"""Events of an app's own through a gateway: as PostHog's clients send them, and as records."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowise_telemetry import DropReason
from flowise_telemetry_gateway.counters import GatewayCounters
from flowise_telemetry_gateway.intake.posthog import PosthogIntake
from flowise_telemetry_gateway.intake.records import check_records
from flowise_telemetry_schemas import Event, catalog
from flowise_telemetry_schemas.codec import encode
from flowise_telemetry_schemas.own_events import OwnEvents, read_own_events
from flowise_telemetry_transport.gateway.wire import WireRecord
from tests.schemas.records import ENVELOPE

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "flowise_3_1" / "events"
SENT = {
    "event": "variable_created",
    "distinct_id": "an organisation",
    "properties": {"version": "3.1.0", "variableType": "static", "name": "a secret"},
}


class Relayed:
    """What an intake hands to the producer."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def relay(self, event: Event, *, event_id: str, occurred_at: int, instance_id: str) -> DropReason | None:
        self.events.append(event)
        return None


@pytest.fixture
def own() -> OwnEvents:
    return read_own_events(EXAMPLE)


def test_what_the_model_app_sends_is_taken_with_the_folder_alone(own: OwnEvents) -> None:
    for schemas, kept in ((own.catalog, 1), (None, 0)):
        relayed, counters = Relayed(), GatewayCounters()
        intake = PosthogIntake(relayed, b"s" * 32, counters, schemas=schemas)
        user = {**SENT, "event": "user_created"}
        intake.relay(intake.read([SENT, user]))
        assert [event.properties() for event in relayed.events] == [
            {"version": "3.1.0", "variableType": "STATIC"}
        ] * kept
        assert (counters.unknown_events, counters.refused_events, counters.unknown_properties) == (1 - kept, 1, kept)


def test_records_of_a_producer_with_the_folder_are_handed_on(own: OwnEvents) -> None:
    value = encode(own.catalog.latest("document_store_created"), {**ENVELOPE.fields(), "version": "3.1.0"})
    record = WireRecord(ENVELOPE.event_id.encode(), value)
    assert check_records([record], own.catalog).good == [(0, record)]
    assert [refusal.reason for refusal in check_records([record], catalog()).refused] == ["unknown_fingerprint"]
