"""The ClickHouse server of the tests: given, or in Docker. Elsewhere there is its engine in the tests' process."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tests.services.docker_engine import is_running, quiet_testcontainers, require_image, started, wait_until
from tests.services.ladder import Rung, RungUnavailableError, climb, docker_is_required, require_permission

__all__ = ["IMAGE", "ClickhouseService", "clickhouse_at", "start_clickhouse"]

IMAGE = "clickhouse/clickhouse-server:26.8"
_PORT = 8123
_START_TIMEOUT_SECONDS = 120


class ClickhouseService:
    """A server, and databases on it that no other test has."""

    def __init__(self, description: str, url: str, stop: Callable[[], None] = lambda: None) -> None:
        self.description = description
        self.used_by: set[str] = set()
        self.stop = stop
        self._url = url

    @property
    def address(self) -> dict[str, Any]:
        """What ``clickhouse_at`` finds it by in another process."""
        return {"description": self.description, "url": self._url}

    @property
    def url(self) -> str:
        """``clickhouse://…`` of a user who may make databases and other users."""
        self.used_by.add(os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0])
        return self._url

    def new_database(self) -> str:
        """The URL of a database that is there and empty."""
        name = f"test_{uuid.uuid4().hex}"
        self.command(f"CREATE DATABASE {name}")
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{name}"))

    def command(self, statement: str) -> None:
        """Run a statement of the administrator's."""
        client = _connect(self.url)
        client.command(statement)
        client.close()


def _connect(url: str) -> Any:
    import clickhouse_connect

    from flowise_telemetry_consumer.sinks.clickhouse.address import address_of

    address = address_of(url)
    return clickhouse_connect.get_client(**{**address.arguments, "password": address.password.read() or ""})


def _answers(url: str) -> bool:
    from clickhouse_connect.driver.exceptions import ClickHouseError

    with contextlib.suppress(ClickHouseError):
        _connect(url).close()
        return True
    return False


def _given() -> ClickhouseService:
    url = os.environ.get("CLICKHOUSE_URL", "")
    if not url:
        raise RungUnavailableError("CLICKHOUSE_URL is not set")
    return ClickhouseService(f"given {urlsplit(url).hostname}", url)


def _testcontainers() -> ClickhouseService:
    require_image(IMAGE)
    with quiet_testcontainers():
        from testcontainers.core.container import DockerContainer

        container = DockerContainer(IMAGE).with_tmpfs_mount("/var/lib/clickhouse").with_exposed_ports(_PORT)
        container.with_envs(
            CLICKHOUSE_USER="test", CLICKHOUSE_PASSWORD="test", CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT="1"
        )

        def up() -> str:
            host, port = container.get_container_host_ip(), container.get_exposed_port(_PORT)
            url = f"clickhouse://test:test@{host}:{port}/default?secure=false"
            wait_until(
                lambda: _answers(url),
                timeout_seconds=_START_TIMEOUT_SECONDS,
                alive=lambda: is_running(container),
                what="the ClickHouse container",
            )
            return url

        url, stop = started(container, up)
    return ClickhouseService(f"testcontainers {IMAGE}", url, stop)


def start_clickhouse() -> tuple[ClickhouseService, list[str]]:
    """The first server that this machine can give, and why those before it could not be had."""
    require_permission("ClickHouse")
    rungs = [Rung("given", _given), Rung("testcontainers", _testcontainers)]
    return climb("ClickHouse server", rungs, required="testcontainers" if docker_is_required() else None)


def clickhouse_at(address: dict[str, Any]) -> ClickhouseService:
    """Return the server that another process started."""
    return ClickhouseService(address["description"], address["url"])
