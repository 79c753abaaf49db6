"""A registry: the small one in this process; with TEST_REGISTRY=1, as ``make test-registry`` sets it, a real one."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.services.ladder import NoServiceError
from tests.services.schema_registry import start_schema_registry
from tests.services.small_registry import small_registry

IS_REAL = bool(os.environ.get("TEST_REGISTRY"))

collect_ignore = [] if IS_REAL else ["test_real_registry.py"]


@dataclass(frozen=True, slots=True)
class Served:
    """Where it is; a topic whose subjects no other test has."""

    url: str
    topic: str


@pytest.fixture(scope="session")
def real_url() -> Iterator[str]:
    try:
        service, passed_over = start_schema_registry()
    except NoServiceError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    lines = [f"schema registry: {service.description}", *(f"  not {reason}" for reason in passed_over)]
    sys.stdout.write("\n".join([*lines, ""]))
    yield service.url
    service.stop()


@pytest.fixture
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    topic = f"test-{uuid.uuid4().hex[:12]}"
    if IS_REAL:
        url = request.getfixturevalue("real_url")
        yield Served(url, topic)
    else:
        with small_registry() as registry:
            yield Served(registry.url, topic)
