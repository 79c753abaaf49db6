"""A topic of a hundred events, and a sink in a file that they are replayed into."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.consumer.replay.copies import Copy
from tests.consumer.world import World


@pytest.fixture
def world() -> World:
    made = World(partitions=6)
    for partition in range(5):
        made.send_good(20, partition=partition)
    return made


@pytest.fixture
def copy(world: World, tmp_path: Path) -> Copy:
    return Copy(world, f"sqlite:///{tmp_path / 'copy.db'}")
