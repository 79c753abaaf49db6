"""A small broker of one test, and an authority for its certificates."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.services.certificates import Authority
from tests.transport.small_broker import SmallBroker, small_brokers


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def broker() -> Iterator[Callable[..., SmallBroker]]:
    with small_brokers() as made:
        yield made
