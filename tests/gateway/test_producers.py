"""Our own producer before a gateway: nothing is lost or changed, whatever becomes of the gateway."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from flowise_telemetry import Telemetry
from flowise_telemetry_transport import InMemoryBroker
from tests.gateway.conftest import KEY, REVOKED, MakeGateway, World
from tests.producer.samples import states, stored, tool_created, wait_until


def producer(world: World, folder: Path, key: str = KEY) -> Telemetry:
    return Telemetry(
        app_version="3.0.1",
        environ={
            "FLOWISE_TELEMETRY_CONFIG_DIR": str(folder / "app"),
            "FLOWISE_TELEMETRY_ENDPOINT": f"http://127.0.0.1:{world.port}",
            "FLOWISE_TELEMETRY_PROJECT_KEY": key,
        },
        spool_dir=folder / "app-spool",
        first_run_notice=False,
    )


@pytest.mark.slow
def test_streams_arrive_whole_through_a_gateway_that_is_stopped_and_started(
    make_gateway: MakeGateway, broker: InMemoryBroker, tmp_path: Path
) -> None:
    world = make_gateway()
    with producer(world, tmp_path) as telemetry:
        for number in range(50):
            telemetry.send_telemetry(tool_created(number))
        assert telemetry.flush(60.0)
        world.stop()
        for number in range(50, 100):
            telemetry.send_telemetry(tool_created(number))
        wait_until(lambda: telemetry.stats().spooled == 50)
        world = make_gateway(port=world.port)
        assert telemetry.flush(60.0)
        stats = telemetry.stats()
        assert (stats.sent, stats.dropped_events, stats.spooled) == (100, 0, 0)
    found = {fields["sequence"]: fields for fields in stored(broker)}
    assert sorted(found) == list(range(100))
    assert [found[number]["toolId"] for number in range(100)] == [tool_created(number).tool_id for number in range(100)]
    assert {fields["streamId"] for fields in found.values()} == {stats.stream_id}
    last = states(broker)[-1]
    assert (last["streamId"], last["numbered"], last["ended"]) == (stats.stream_id, 100, True)
    assert world.telemetry.stats().accepted == 0


@pytest.mark.slow
@pytest.mark.parametrize("key", [REVOKED, "a-project-key-of-a-stranger"])
def test_a_key_that_is_not_taken_costs_no_event(make_gateway: MakeGateway, tmp_path: Path, key: str) -> None:
    world = make_gateway()
    telemetry = producer(world, tmp_path, key)
    telemetry.send_telemetry(tool_created())
    wait_until(lambda: telemetry.stats().last_error is not None and telemetry.stats().spooled == 1)
    begun = time.monotonic()
    telemetry.close(timeout_seconds=1.0)
    assert time.monotonic() - begun < 30.0
    assert stored(world.broker) == []
    with producer(world, tmp_path) as second:
        wait_until(lambda: second.stats().sent == 1)
    assert len(stored(world.broker)) == 1
