"""Our own producer before a true gateway: what is on the topic is what it would have written itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry import Telemetry
from flowise_telemetry_gateway import GatewayLimits
from flowise_telemetry_transport.gateway.check import why_unusable
from flowise_telemetry_transport.gateway.settings import GatewaySettings
from tests.gateway.conftest import KEY, REVOKED, MakeGateway, World
from tests.producer.samples import states, stored, tool_created, wait_until

MakeProducer = Callable[..., Telemetry]


@pytest.fixture
def make_producer(tmp_path: Path) -> Iterator[MakeProducer]:
    with ExitStack() as opened:

        def make(world: World, *, key: str = KEY, **settings: Any) -> Telemetry:
            telemetry = Telemetry(
                app_version="3.0.1",
                endpoint=f"http://127.0.0.1:{world.port}",
                project_key=key,
                environ={"FLOWISE_TELEMETRY_CONFIG_DIR": str(tmp_path / "app")},
                first_run_notice=False,
                **settings,
            )
            opened.callback(telemetry.close, timeout_seconds=0.2)
            return telemetry

        yield make


def test_a_producer_s_stream_arrives_whole_and_as_its_own(
    make_gateway: MakeGateway, make_producer: MakeProducer
) -> None:
    world = make_gateway()
    telemetry = make_producer(world)
    for number in range(1_200):
        telemetry.send_telemetry(tool_created(number))
    assert telemetry.flush(60.0)
    telemetry.close()
    records = stored(world.broker)
    assert [record["sequence"] for record in records] == list(range(1_200))
    assert {record["streamId"] for record in records} == {telemetry.stats().stream_id}
    assert [state["ended"] for state in states(world.broker)] == [True]
    assert world.telemetry.stats().accepted == 0


@pytest.mark.slow
def test_limits_of_a_gateway_split_and_slow_a_producer_and_cost_nothing(
    make_gateway: MakeGateway, make_producer: MakeProducer
) -> None:
    world = make_gateway(GatewayLimits(events_max=70, decompressed_max_bytes=20_000, key_events_per_second=300))
    telemetry = make_producer(world)
    for number in range(600):
        telemetry.send_telemetry(tool_created(number))
    wait_until(lambda: telemetry.flush(1.0), timeout_seconds=60.0)
    assert (telemetry.stats().sent, telemetry.stats().dropped) == (600, {})
    assert len({record["eventId"] for record in stored(world.broker)}) == 600


@pytest.mark.slow
def test_a_revoked_key_costs_no_event_and_is_told(
    make_gateway: MakeGateway, make_producer: MakeProducer, tmp_path: Path
) -> None:
    world = make_gateway()
    telemetry = make_producer(world, key=REVOKED, spool_dir=tmp_path / "spool")
    for number in range(20):
        telemetry.send_telemetry(tool_created(number))
    wait_until(lambda: telemetry.stats().error_lasts and telemetry.stats().spooled == 20)
    assert "revoked" in str(telemetry.stats().last_error)
    telemetry.close()
    again = make_producer(world, spool_dir=tmp_path / "spool")
    wait_until(lambda: again.stats().sent == 20)
    assert [record["sequence"] for record in stored(world.broker)] == list(range(20))


@pytest.mark.parametrize(("key", "word"), [(KEY, None), (REVOKED, "revoked"), ("nobody-s", "key_unknown")])
def test_a_look_at_the_connection_tells_what_a_key_is_worth(
    make_gateway: MakeGateway, key: str, word: str | None
) -> None:
    endpoint = f"http://127.0.0.1:{make_gateway().port}"
    reason = why_unusable(GatewaySettings(endpoint=endpoint, project_key=key))
    assert word in str(reason) if word else reason is None
