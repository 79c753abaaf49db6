"""Python's search for circles of garbage, which would look at all that is in hand."""

from __future__ import annotations

import gc

from tests.gateway.conftest import MakeGateway


def test_garbage_is_looked_for_seldom_while_a_gateway_serves(make_gateway: MakeGateway) -> None:
    before = gc.get_threshold()
    world = make_gateway()
    while_serving = gc.get_threshold()
    world.stop()
    assert while_serving[0] >= 10 * before[0]
    assert gc.get_threshold() == before
