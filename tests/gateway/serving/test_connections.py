"""Clients that keep their connections; `make test-gateway` has a hundred."""

from __future__ import annotations

from tests.gateway.conftest import MakeGateway
from tests.gateway.sending import decoded, send_at_once


def test_a_few_clients_at_once_keep_their_connections(make_gateway: MakeGateway) -> None:
    world = make_gateway()
    assert send_at_once(world, clients=4, requests=5) == {200: 20}
    assert world.telemetry.flush(60.0)
    assert len(decoded(world)) == 20
