"""Shards of a request."""

from __future__ import annotations

import pytest

from flowise_telemetry_consumer import (
    Shard,
)
from flowise_telemetry_schemas import ConfigurationError
from tests.consumer.replay.ranges import ran
from tests.consumer.world import World


def test_shards_divide_the_partitions_among_themselves() -> None:
    world = World(partitions=5)
    for partition in range(5):
        world.send_good(2, partition=partition)
    shares = [{tp.partition for tp in ran(world, shard=Shard.parse(text)).partitions} for text in ("1/3", "2/3", "3/3")]
    assert shares == [{0, 3}, {1, 4}, {2}]
    assert world.sink.event_ids() == world.accepted()


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "a/b", "1/0", "-1/2"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="give number/count") as caught:
        Shard.parse(text)
    assert caught.value.argument == "shard"
