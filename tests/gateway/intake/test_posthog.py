"""What PostHog's clients send, from the request to the topic."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from flowise_telemetry import DropReason, Limits
from flowise_telemetry_gateway import GatewayCounters
from flowise_telemetry_gateway.intake.posthog import PosthogIntake
from flowise_telemetry_schemas.posthog import NotMappedError
from tests.gateway.conftest import ID, KEY, REVOKED, MakeGateway, tool
from tests.producer.samples import stored, wait_until


def test_batches_arrive_on_every_path_gzip_and_plain(make_gateway: MakeGateway) -> None:
    world = make_gateway()
    number = 0
    for path in ("/batch/", "/batch", "/capture/", "/e/", "/i/v0/e/"):
        for compressed in (False, True):
            batch = [tool(number), tool(number + 1)]
            answered = world.post(path, {"api_key": KEY, "batch": batch}, compressed=compressed)
            assert (answered.status, answered.json) == (200, {"status": 1})
            number += 2
    assert world.telemetry.flush(10.0)
    found = stored(world.broker)
    assert [fields["eventId"] for fields in found] == [tool(at)["uuid"] for at in range(number)]
    assert [fields["toolName"] for fields in found] == [f"tool_{at}" for at in range(number)]
    assert {fields["version"] for fields in found} == {"3.0.1"}
    assert len({fields["instanceId"] for fields in found}) == 1
    assert "org-1" not in str(found)
    assert {fields["streamId"] for fields in found} == {world.telemetry.stats().stream_id}


def test_one_alone_and_a_list_arrive(make_gateway: MakeGateway) -> None:
    world = make_gateway()
    assert world.post("/capture/", {"api_key": KEY, **tool(1)}).status == 200
    assert world.post("/e/", [{"token": KEY, **tool(2)}]).status == 200
    inner = tool(3)
    inner["properties"] |= {"token": KEY, "distinct_id": inner.pop("distinct_id")}
    assert world.post("/i/v0/e/", inner).status == 200
    assert world.telemetry.flush(10.0)
    assert [fields["toolName"] for fields in stored(world.broker)] == ["tool_1", "tool_2", "tool_3"]
    assert len({fields["instanceId"] for fields in stored(world.broker)}) == 1


def test_what_is_not_kept_is_counted_in_totals_and_answered_with_success(
    make_gateway: MakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world = make_gateway()
    unknown = {**tool(1), "event": "sk-live-secret"}
    odd = tool(2)
    odd["properties"] |= {"sk-live-property": "sk-live-value", "productId": "sk-live-product"}
    batch = [unknown, {**tool(3), "event": "user_created"}, odd, tool(4, properties={"toolId": ID})]
    assert world.post("/batch/", {"api_key": KEY, "batch": batch}).status == 200
    assert world.telemetry.flush(10.0)
    assert [fields["toolName"] for fields in stored(world.broker)] == ["tool_2"]
    counters = world.counters
    assert (counters.unknown_events, counters.unknown_properties) == (1, 1)
    assert (counters.refused_events, counters.invalid_events) == (1, 1)
    metrics = world.request("GET", "/metrics").body.decode()
    assert "unknown_properties_total 1.0" in metrics
    # The broker is in memory, so what a Kafka client says here is a late word of another test's.
    logged = [line.getMessage() for line in caplog.records if line.name != "flowise_telemetry.transport"]
    for text in (metrics, *logged, str(stored(world.broker))):
        assert "sk-live" not in text
        assert "127.0.0.1" not in text
        assert KEY not in text


def test_who_has_no_key_is_told(make_gateway: MakeGateway) -> None:
    world = make_gateway()
    for key, status, error in (
        ("", 401, "key_missing"),
        (KEY[:-1], 401, "key_unknown"),
        (KEY + "x", 401, "key_unknown"),
        (REVOKED, 403, "key_revoked"),
        (["x"], 401, "key_missing"),
    ):
        answered = world.post("/batch/", {"api_key": key, "batch": [tool()]})
        assert (answered.status, answered.json["error"]) == (status, error)
    assert world.telemetry.stats().accepted == 0


def test_what_is_no_batch_is_refused(make_gateway: MakeGateway) -> None:
    world = make_gateway()
    for body in (b"", b"{", b"7", b'{"api_key": "x", "batch": 7}', b"\xff\xfe", b"[" * 100_000, b'"\\ud800"'):
        answered = world.request("POST", "/batch/", body)
        assert (answered.status, answered.json["error"]) == (400, "malformed")


def test_with_a_spool_the_answer_comes_when_the_events_are_in_it(make_gateway: MakeGateway, tmp_path: Path) -> None:
    world = make_gateway(spool_dir=tmp_path / "spool")
    world.broker.down = True
    for number in range(5):
        assert world.post("/batch/", {"api_key": KEY, "batch": [tool(number)]}).status == 200
        assert world.telemetry.stats().spooled == number + 1
    world.broker.down = False
    wait_until(lambda: world.telemetry.stats().sent == 5)


def test_without_room_the_client_comes_again_and_nothing_is_lost(make_gateway: MakeGateway) -> None:
    world = make_gateway(producer_limits=Limits(buffer_max_events=2))
    world.broker.down = True
    batch = {"api_key": KEY, "batch": [tool(1), tool(2), tool(3)]}
    refused = world.post("/batch/", batch)
    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    assert world.telemetry.stats().dropped_events == 0
    world.broker.down = False
    assert world.telemetry.flush(30.0)
    assert world.post("/batch/", {"api_key": KEY, "batch": [tool(3)]}).status == 200
    assert world.telemetry.flush(30.0)
    assert {fields["toolName"] for fields in stored(world.broker)} == {"tool_1", "tool_2", "tool_3"}


def test_once_telemetry_is_off_nothing_is_taken(make_gateway: MakeGateway) -> None:
    world = make_gateway()
    world.telemetry.set_enabled(False)
    answered = world.post("/batch/", {"api_key": KEY, "batch": [tool(1)]})
    assert (answered.status, answered.json["error"]) == (503, "unavailable")
    assert world.request("GET", "/readyz").status == 503
    assert world.request("GET", "/healthz").status == 200
    assert stored(world.broker) == []


def test_what_comes_again_gets_no_second_number(make_gateway: MakeGateway) -> None:
    world = make_gateway(producer_limits=Limits(buffer_max_events=2))
    world.broker.down = True
    batch = {"api_key": KEY, "batch": [tool(1), tool(2), tool(3)]}
    assert world.post("/batch/", batch).status == 503  # two have found room
    world.broker.down = False
    assert world.telemetry.flush(30.0)
    assert world.post("/batch/", batch).status == 200
    assert world.post("/batch/", batch).status == 200  # the answer was lost
    assert world.telemetry.flush(30.0)
    found = stored(world.broker)
    assert [(fields["sequence"], fields["toolName"]) for fields in found] == [
        (0, "tool_1"),
        (1, "tool_2"),
        (2, "tool_3"),
    ]
    assert world.counters.accepted == {"tool_created": 3}


def test_clients_without_chance_lose_nothing(make_gateway: MakeGateway) -> None:
    world = make_gateway()
    for uuid in ("00000000-0000-0000-0000-000000000000", "undefined", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"):
        for number in range(3):
            document = {"api_key": KEY, "batch": [tool(number, uuid=uuid)]}
            assert world.post("/batch/", document).status == 200
    assert world.telemetry.flush(30.0)
    assert len({fields["eventId"] for fields in stored(world.broker)}) == 9


def test_what_is_not_on_disk_is_not_answered_with_success(make_gateway: MakeGateway, tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")
    world = make_gateway(spool_dir=tmp_path / "spool")
    world.broker.down = True
    batch = {"api_key": KEY, "batch": [tool(1)]}
    refused = world.post("/batch/", batch)
    assert (refused.status, refused.json["error"], refused.headers["retry-after"]) == (503, "unavailable", "5")
    world.broker.down = False
    assert world.telemetry.flush(30.0)
    assert world.post("/batch/", batch).status == 200  # the cluster has it
    assert [fields["sequence"] for fields in stored(world.broker)] == [0]


def test_a_full_spool_is_told_until_there_is_room(make_gateway: MakeGateway, tmp_path: Path) -> None:
    world = make_gateway(spool_dir=tmp_path / "spool", producer_limits=Limits(spool_max_bytes=131_072))
    world.broker.down = True
    statuses, sent = [], 0
    while 503 not in statuses:
        batch = [tool(number) for number in range(sent, sent + 100)]
        statuses.append(world.post("/batch/", {"api_key": KEY, "batch": batch}).status)
        sent += 100
    assert statuses[0] == 200
    assert world.telemetry.stats().spooled >= sent - 100
    world.broker.down = False
    assert world.telemetry.flush(30.0)
    batch = [tool(number) for number in range(sent - 100, sent + 1)]
    assert world.post("/batch/", {"api_key": KEY, "batch": batch}).status == 200
    assert world.telemetry.flush(30.0)
    assert sorted(fields["sequence"] for fields in stored(world.broker)) == list(range(sent + 1))


class Retired:
    """A producer for which every event is retired."""

    def relay(self, *_: object, **__: object) -> DropReason:
        return DropReason.RETIRED


def test_a_retired_event_is_counted() -> None:
    counters, told = GatewayCounters(), list[NotMappedError]()
    intake = PosthogIntake(Retired(), b"s" * 32, counters, on_dropped=told.append)
    intake.relay(intake.read([tool(1), tool(2)]))
    assert (counters.refused_events, counters.accepted.total(), len(told)) == (2, 0, 2)
