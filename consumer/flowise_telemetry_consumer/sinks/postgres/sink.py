"""Events in PostgreSQL, one table for each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Self

import polars as pl

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.account.port import Merged
from flowise_telemetry_consumer.sinks.account.tables import ACCOUNT_TABLES, held_part
from flowise_telemetry_consumer.sinks.claims import PROGRESS_TABLE, Claims, sources_of
from flowise_telemetry_consumer.sinks.erasures import ErasedIds, Erasure
from flowise_telemetry_consumer.sinks.known_events import KnownEvents
from flowise_telemetry_consumer.sinks.own_tables import own_tables
from flowise_telemetry_consumer.sinks.port import Batch, SourceProgress, WriteResult, require_prepared, staging_name
from flowise_telemetry_consumer.sinks.postgres.account import merge_streams
from flowise_telemetry_consumer.sinks.postgres.adding import Adding
from flowise_telemetry_consumer.sinks.postgres.address import Address
from flowise_telemetry_consumer.sinks.postgres.connecting import AdvisoryLocks, Connector
from flowise_telemetry_consumer.sinks.postgres.deadline import cut_after, limit_transaction
from flowise_telemetry_consumer.sinks.postgres.durability import flush_commit
from flowise_telemetry_consumer.sinks.postgres.erasing import REMAINS, KnownErasures, erase, erasures_of, hold_erasures
from flowise_telemetry_consumer.sinks.postgres.errors import translate_errors
from flowise_telemetry_consumer.sinks.postgres.inspection import Inspection
from flowise_telemetry_consumer.sinks.postgres.progress import advance, claim, rows_of, stored_of
from flowise_telemetry_consumer.sinks.postgres.promote import PROMOTE_TIMEOUT_SECONDS, promote
from flowise_telemetry_consumer.sinks.postgres.pruning import count_before, delete_before
from flowise_telemetry_consumer.sinks.postgres.seeding import seed_account
from flowise_telemetry_consumer.sinks.postgres.staging import mark_staging, unknown_tables
from flowise_telemetry_consumer.sinks.postgres.tables import columns_of, counts_of, frames_of, make_tables
from flowise_telemetry_consumer.sinks.postgres.views import AnalystViews
from flowise_telemetry_consumer.sinks.rows import require_columns
from flowise_telemetry_schemas import EventSchema
from flowise_telemetry_transport.types import TopicPartition

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["STATEMENT_TIMEOUT_SECONDS", "PostgresSink"]

STATEMENT_TIMEOUT_SECONDS = 60.0
"""Time limit of one statement, waiting for locks included; past it the write raises ``SinkUnavailableError``."""

_ANSWER_SECONDS = 15.0
"""Time beyond that of one statement after which a whole transaction has to be over; else its connection is cut."""


class PostgresSink:
    """Events in PostgreSQL: ``uuid``, ``timestamptz``, ``bigint`` and ``text`` columns, graphs as ``jsonb``.

    A batch is copied straight into the tables, or into temporary ones and merged from there in the same transaction
    (``Adding``). The role needs ``CREATE`` on the schema only if something is missing, else ``SELECT`` and ``INSERT``
    on the tables, ``UPDATE`` on the progress table, ``TEMPORARY`` on the database. The next call replaces a lost
    connection.
    """

    def __init__(
        self,
        address: Address,
        *,
        statement_timeout_seconds: float = STATEMENT_TIMEOUT_SECONDS,
        promote_timeout_seconds: float = PROMOTE_TIMEOUT_SECONDS,
    ) -> None:
        self._address = address
        self._connector = Connector(address)
        self._statement_timeout_ms = round(statement_timeout_seconds * 1000)
        self._promote_timeout_seconds = promote_timeout_seconds
        self._schemas = KnownEvents()
        self._connection: Connection[Any] | None = None
        self._inspection = Inspection(address)
        self._views = AnalystViews(address)
        self._adding = Adding(address.schema)
        self._claims = Claims(address.shown)
        self._locks = AdvisoryLocks(address, self._connector)
        self._erasures = KnownErasures(address.home)

    @property
    def url(self) -> str:
        """The address, its password as ``***``."""
        return self._address.shown

    def know(self, schemas: Iterable[EventSchema]) -> None:
        """Take these for what the sink may hold, where it is not prepared."""
        self._schemas.tell(schemas)

    def unknown_tables(self) -> list[str]:
        """Return the tables of events that it does not know."""
        with self._translate_errors(), contextlib.closing(self._connector.connect()) as connection:
            return unknown_tables(connection, self._address.home, self._schemas)

    def prepare(self, schemas: Iterable[EventSchema]) -> None:
        """Create the missing schema, tables and columns."""
        self._schemas.add(schemas)
        self._disconnect()
        with self._translate_errors():
            # Connecting creates the tables.
            self._open()

    def write(self, batch: Batch) -> WriteResult:
        """Add the new events and advance the source, in one transaction."""
        require_prepared(self, batch, self._schemas)
        added: dict[str, pl.DataFrame] = {}
        with self._translate_errors():
            connection = self._open()
            with self._step(connection):
                kept, erased = self._erasures.current(connection).keep(batch.frames)
                for event in sorted(kept):
                    with translate_errors(self._address, event):
                        added[event] = self._adding.add(connection, self._schemas[event], kept[event])
                with own_tables(), translate_errors(self._address):
                    self._adding.account(connection, added, batch.letters)
                    self._advance(connection, batch)
        result = WriteResult.of(batch, {event: frame.height for event, frame in added.items()}, erased)
        if kept:
            self._adding.expects_known = any(result.duplicates.values())
        return result

    def claim(
        self, source: str, partitions: Iterable[TopicPartition], *, description: str = ""
    ) -> Mapping[TopicPartition, int]:
        """Claim partitions, in one transaction."""
        partitions = tuple(partitions)
        if not partitions:
            return {}
        with self._translate_errors():
            connection = self._open()
            with self._step(connection):
                claimed = claim(connection, self._address.schema, source, partitions, description)
        self._claims.record(source, {partition: epoch for partition, _, epoch in claimed})
        return {partition: offset for partition, offset, _ in claimed if offset is not None}

    def progress(self) -> list[SourceProgress]:
        """Return the progress of each source."""
        with self._translate_errors(), self._connector.connect() as connection, self._bounded(connection):
            if not columns_of(connection, self._address.schema, PROGRESS_TABLE):
                return []
            return sources_of(rows_of(connection, self._address.schema))

    def lock(self, name: str) -> None:
        """Acquire an advisory lock, on a separate connection."""
        self._locks.take(name, self._translate_errors)

    def staging(self, name: str) -> Self:
        """Return a sink whose tables are in the schema ``<schema>_<name>``."""
        return type(self)(
            self._address.staging(staging_name(name)),
            statement_timeout_seconds=self._statement_timeout_ms / 1000,
            promote_timeout_seconds=self._promote_timeout_seconds,
        )

    def promote(self, name: str) -> None:
        """Move the tables into each other's schema, with their indexes. Views and grants stay with the names.

        The role has to own all of the tables and their views, and to have ``CREATE`` on the database.
        """
        live, other = self._address, self._address.staging(staging_name(name))
        with self._translate_errors(), self._connector.connect() as connection:
            for address in (live, other):
                seed_account(connection, address, lambda: self._step(connection))
            with connection.transaction():
                self._begin(connection)
                known = self._schemas.all()
                there = [known[event] for event in known if columns_of(connection, other.schema, event)]
                if not there:
                    raise SinkError(f"{other.shown} has no tables: fill them first")
                for address in (live, other):
                    self._make_tables(connection, address, there)
            with connection.transaction():
                self._begin(connection)
                promote(
                    connection,
                    live.schema,
                    other.schema,
                    [*(schema.event for schema in there), *ACCOUNT_TABLES],
                    shown=self.url,
                    timeout_seconds=self._promote_timeout_seconds,
                )
            with self._step(connection):
                self._views.make(connection, there)

    def read(self, event: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """Yield the rows of one table, over a separate connection that sees the state at its start."""
        schema = self._schemas.find(event)
        with self._translate_errors(), self._connector.connect() as connection, connection.transaction():
            require_columns(self.url, event, schema, columns_of(connection, self._address.schema, event))
            yield from frames_of(connection, self._address.schema, schema, batch_rows)

    def account(self, table: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """Yield the rows of one table of the account."""
        with self._translate_errors(), self._connector.connect() as connection, connection.transaction():
            if held := columns_of(connection, self._address.schema, table):
                yield from frames_of(connection, self._address.schema, held_part(table, held), batch_rows)

    def merge_account(self) -> Merged:
        """Merge the rows of streams, by one statement; the role needs ``DELETE`` on their table as well."""
        with self._translate_errors(), self._connector.connect() as connection, self._step(connection):
            hold_erasures(connection, self._address.home)
            return merge_streams(connection, self._address.schema)

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each table, all as of one moment."""
        with self._translate_errors(), self._connector.connect() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            return counts_of(connection, self._address.schema, sorted(self._schemas.all()))

    def prune(self, before_ms: int, *, dry_run: bool = False) -> Iterator[Mapping[str, int]]:
        """Delete old events, a transaction for each step; the role needs ``DELETE`` on the tables."""
        with self._translate_errors(), contextlib.closing(self._connector.connect()) as connection:
            known = sorted(self._schemas.all())
            there = [event for event in known if columns_of(connection, self._address.schema, event)]
            act = count_before if dry_run else delete_before
            yield from act(connection, self._address.schema, there, before_ms, self._begin)

    def erase(self, ids: ErasedIds, *, dry_run: bool = False) -> Iterator[Mapping[str, int]]:
        """Store the hashes, then delete rows of the live and the staging schemas, a transaction for each step.

        The role has to own the tables.
        """
        with self._translate_errors(), contextlib.closing(self._connector.connect()) as connection:
            events = sorted(self._schemas.all())
            yield from erase(connection, self._address.home, events, ids, self._begin, shown=self.url, dry_run=dry_run)

    def erasures(self) -> list[Erasure]:
        """Return the hashes."""
        with self._translate_errors(), contextlib.closing(self._connector.connect()) as connection:
            return erasures_of(connection, self._address.home)

    def remains(self) -> str:
        """Return what the server does with deleted rows."""
        return REMAINS

    def close(self) -> None:
        """Close the connections, which releases the locks."""
        self._disconnect()
        self._locks.release()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _advance(self, connection: Connection[Any], batch: Batch) -> None:
        # Last in the transaction: the row stays locked until the commit, so a claim waits for a commit only, never for
        # a whole batch. A claim made while we wrote shows here, and everything we wrote is rolled back.
        steps = self._claims.advances(batch)
        if steps and not advance(connection, self._address.schema, batch.source, steps):
            self._claims.require(batch, stored_of(connection, self._address.schema, batch.source))
            raise self._claims.fenced(batch.source, steps[0].partition)

    def _open(self) -> Connection[Any]:
        if self._connection is not None and not self._connection.closed:
            return self._connection
        connection = self._connector.connect()
        try:
            seed_account(connection, self._address, lambda: self._step(connection))
            with self._step(connection):
                self._make_tables(connection, self._address, self._schemas.values())
                self._inspection.look(connection, self._schemas)
            with self._step(connection):
                self._views.make(connection, self._schemas.values())
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _make_tables(self, connection: Connection[Any], address: Address, schemas: Iterable[EventSchema]) -> None:
        seconds = self._statement_timeout_ms / 1000
        make_tables(connection, address.schema, schemas, shown=self.url, timeout_seconds=seconds)
        mark_staging(connection, address)

    def _bounded(self, connection: Connection[Any]) -> AbstractContextManager[None]:
        """Bound a transaction from here, for a server that stands still and bounds nothing itself."""
        return cut_after(connection, self._statement_timeout_ms / 1000 + _ANSWER_SECONDS, self.url)

    @contextlib.contextmanager
    def _step(self, connection: Connection[Any]) -> Iterator[None]:
        with self._bounded(connection), connection.transaction():
            self._begin(connection)
            yield

    def _begin(self, connection: Connection[Any]) -> None:
        """Set the limits of this transaction, and that its commit waits for the disk."""
        limit_transaction(connection, self._statement_timeout_ms)
        flush_commit(connection)

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            with translate_errors(self._address):
                yield
        except SinkError:
            self._adding.expects_known = True
            # A new connection is cheap, and after a failover the old one would still lead to the wrong server.
            self._disconnect()
            raise
