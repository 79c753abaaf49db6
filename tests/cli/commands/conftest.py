"""A small broker of one test, and an authority for its certificates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.services.certificates import Authority
from tests.transport.small_broker import SmallBroker


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def broker() -> Iterator[Callable[..., SmallBroker]]:
    with ExitStack() as stack:

        def made(**settings: Any) -> SmallBroker:
            opened = SmallBroker(**settings)
            stack.callback(opened.close)
            return opened

        yield made
