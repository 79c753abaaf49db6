"""Events in PostgreSQL, one table for each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import polars as pl

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.port import Batch, WriteResult
from flowise_telemetry_consumer.sinks.postgres.address import Address
from flowise_telemetry_consumer.sinks.postgres.failures import connect_failure, failures_told
from flowise_telemetry_consumer.sinks.postgres.tables import (
    columns_of,
    copy_statement,
    make_tables,
    merge_statement,
    select_statement,
    stage_statement,
)
from flowise_telemetry_consumer.sinks.rows import frame_of_rows, newest, rows_frame
from flowise_telemetry_schemas import EventSchema, catalog

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["STATEMENT_TIMEOUT_SECONDS", "PostgresSink"]

STATEMENT_TIMEOUT_SECONDS = 60.0
"""How long one statement may take, waiting for locks included, before the write raises ``SinkUnavailableError``."""

_COPY_ROWS = 10_000


class PostgresSink:
    """Events in PostgreSQL: ``uuid``, ``timestamptz``, ``bigint`` and ``text`` columns, graphs as ``jsonb``.

    A batch is copied into temporary tables and merged from there in the same transaction. The role needs ``CREATE`` on
    the schema only where something is missing, else ``SELECT`` and ``INSERT`` on the tables and ``TEMPORARY`` on the
    database. A lost connection is made anew by the next call.
    """

    def __init__(self, address: Address, *, statement_timeout_seconds: float = STATEMENT_TIMEOUT_SECONDS) -> None:
        # Asked for here, so that a missing extra is told when the sink is opened.
        import psycopg

        self._connect_to = psycopg.connect
        self._address = address
        self._statement_timeout_ms = round(statement_timeout_seconds * 1000)
        self._schemas: dict[str, EventSchema] = {}
        self._connection: Connection[Any] | None = None
        self._was_connected = False

    @property
    def url(self) -> str:
        """The address, its password as ``***``."""
        return self._address.shown

    def prepare(self, schemas: Iterable[EventSchema]) -> None:
        """Makes the schema, the tables and the columns that are missing."""
        self._schemas |= newest([*self._schemas.values(), *schemas])
        self.close()
        with self._failures_told():
            # Makes the tables itself where it connects.
            self._open()

    def write(self, batch: Batch) -> WriteResult:
        """Adds the events of a batch that are not there yet, in one transaction."""
        for event in batch.frames:
            if event not in self._schemas:
                raise SinkError(f"{event} was not prepared in {self.url}", event=event)
        written: dict[str, int] = {}
        with self._failures_told():
            connection = self._open()
            with connection.transaction():
                self._limit_statements(connection)
                for event in sorted(batch.frames):
                    written[event] = self._merge(connection, self._schemas[event], batch.frames[event])
        duplicates = {event: frame.height - written[event] for event, frame in batch.frames.items()}
        return WriteResult(written=written, duplicates=duplicates)

    def read(self, event: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """The events of one table, from a connection of its own that sees the state at its start."""
        schema = self._schemas.get(event) or catalog().latest(event)
        with self._failures_told(), self._connect() as connection, connection.transaction():
            held = columns_of(connection, self._address.schema, event)
            missing = [field.column for field in schema.fields if field.column not in held]
            if missing:
                what = f"columns {', '.join(missing)} in the table {event}" if held else f"table {event}"
                raise SinkError(f"{self.url} has no {what}: a consumer makes them when it starts", event=event)
            with connection.cursor(name="read") as cursor:
                cursor.execute(select_statement(self._address.schema, schema))
                while rows := cursor.fetchmany(batch_rows):
                    yield frame_of_rows(schema, rows)

    def counts(self) -> dict[str, int]:
        """The number of rows of each table, all as of one moment."""
        from psycopg.sql import SQL, Identifier

        counts: dict[str, int] = {}
        with self._failures_told(), self._connect() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            for event in sorted(self._schemas or newest(catalog())):
                if columns_of(connection, self._address.schema, event):
                    table = Identifier(self._address.schema, event)
                    row = connection.execute(SQL("SELECT count(*) FROM {}").format(table)).fetchone()
                    counts[event] = row[0] if row else 0
        return counts

    def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _merge(self, connection: Connection[Any], schema: EventSchema, frame: pl.DataFrame) -> int:
        connection.execute(stage_statement(self._address.schema, schema))
        with connection.cursor() as cursor:
            with cursor.copy(copy_statement(schema)) as copy:
                for part in rows_frame(schema, frame).iter_slices(_COPY_ROWS):
                    copy.write(part.write_csv(include_header=False, quote_style="non_numeric", null_value=""))
            return cursor.execute(merge_statement(self._address.schema, schema)).rowcount

    def _open(self) -> Connection[Any]:
        if self._connection is not None and not self._connection.closed:
            return self._connection
        connection = self._connect()
        try:
            with connection.transaction():
                self._limit_statements(connection)
                make_tables(connection, self._address.schema, self._schemas.values())
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _connect(self) -> Connection[Any]:
        import psycopg

        try:
            # Statements are few and large: naming them for the server saves nothing, and a pooler between forgets them.
            connection = self._connect_to(
                self._address.conninfo, autocommit=True, prepare_threshold=None, client_encoding="utf8"
            )
        except psycopg.OperationalError as error:
            raise connect_failure(error, self._address, was_connected=self._was_connected) from error
        self._was_connected = True
        return connection

    def _limit_statements(self, connection: Connection[Any]) -> None:
        # For this transaction, not for the session: behind a pooler the session is someone else's next.
        connection.execute("SELECT set_config('statement_timeout', %s, true)", (str(self._statement_timeout_ms),))

    @contextlib.contextmanager
    def _failures_told(self) -> Iterator[None]:
        try:
            with failures_told(self._address):
                yield
        except SinkError:
            # A new connection is cheap, and after a failover the old one would go on leading to the wrong server.
            self.close()
            raise
