"""Connections to a server, and the locks that last as long as one."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from flowise_telemetry_consumer.errors import SinkInUseError
from flowise_telemetry_consumer.sinks.postgres.address import Address
from flowise_telemetry_consumer.sinks.postgres.errors import connect_failure
from flowise_telemetry_consumer.sinks.postgres.progress import try_lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg import Connection

__all__ = ["AdvisoryLocks", "Connector"]


class Connector:
    """Opens connections to one address; a refusal after the first one that worked is an outage."""

    def __init__(self, address: Address) -> None:
        # Imported here, so that a missing extra is reported when the sink is opened.
        import psycopg

        self._psycopg = psycopg
        self._address = address
        self._was_connected = False

    def connect(self) -> Connection[Any]:
        """Return a new connection. Raises ``SinkError``, ``SinkUnavailableError``."""
        secret = self._address.password.read(after=self._address.shown if self._was_connected else None)
        try:
            # Statements are few and large: preparing them saves nothing, and a pooler loses prepared statements.
            connection = self._psycopg.connect(
                self._address.conninfo, password=secret, autocommit=True, prepare_threshold=None, client_encoding="utf8"
            )
        except self._psycopg.OperationalError as error:
            raise connect_failure(error, self._address, was_connected=self._was_connected) from error
        self._was_connected = True
        # Whatever role or database say: what waits for another's commit has to see it afterwards.
        connection.isolation_level = self._psycopg.IsolationLevel.READ_COMMITTED
        return connection


class AdvisoryLocks:
    """Named locks of one sink, each on a connection of its own."""

    def __init__(self, address: Address, connector: Connector) -> None:
        self._address = address
        self._connector = connector
        self._held: dict[str, Connection[Any]] = {}

    def take(self, name: str, translate_errors: Callable[[], AbstractContextManager[None]]) -> None:
        """Acquire a lock, or do nothing where this object holds it. Raises ``SinkInUseError``."""
        if name in self._held:
            return
        with translate_errors():
            connection = self._connector.connect()
            try:
                is_ours = try_lock(connection, self._address.schema, name)
            except BaseException:
                connection.close()
                raise
        if not is_ours:
            connection.close()
            raise SinkInUseError(f"{self._address.shown}: another process has {name!r}: wait for it or stop it")
        self._held[name] = connection

    def release(self) -> None:
        """Close the connections, which releases the locks."""
        for connection in self._held.values():
            connection.close()
        self._held = {}
