"""A sink in ClickHouse: a table per event, one for the log; staging tables have a prefix."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Self

import polars as pl

from flowise_telemetry_consumer.errors import SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.account.letters import with_letters
from flowise_telemetry_consumer.sinks.account.tables import STREAMS_TABLE
from flowise_telemetry_consumer.sinks.claims import PROGRESS_TABLE, Claims, sources_of
from flowise_telemetry_consumer.sinks.clickhouse import promote as promotion
from flowise_telemetry_consumer.sinks.clickhouse.account import account_schemas, filed_rows
from flowise_telemetry_consumer.sinks.clickhouse.address import Address
from flowise_telemetry_consumer.sinks.clickhouse.erasing import ErasingServer, ServerErasures
from flowise_telemetry_consumer.sinks.clickhouse.locks import LogLocks
from flowise_telemetry_consumer.sinks.clickhouse.log import Entry, State, append, make_log
from flowise_telemetry_consumer.sinks.clickhouse.pruning import count_before, months_before, remove_month
from flowise_telemetry_consumer.sinks.clickhouse.recent_ids import RecentIds, as_bytes
from flowise_telemetry_consumer.sinks.clickhouse.server import Server, name, text
from flowise_telemetry_consumer.sinks.clickhouse.tables import (
    BATCH,
    columns_of,
    delete_batches,
    make_table,
    pages_of,
    require_order,
    require_table,
    visible,
)
from flowise_telemetry_consumer.sinks.clickhouse.turn import TURN_SECONDS, Turn, Turns
from flowise_telemetry_consumer.sinks.clickhouse.views import AnalystViews
from flowise_telemetry_consumer.sinks.event_ids import first_of_each
from flowise_telemetry_consumer.sinks.known_events import KnownEvents
from flowise_telemetry_consumer.sinks.port import Batch, SourceProgress, WriteResult, require_prepared, staging_name
from flowise_telemetry_consumer.sinks.rows import require_values
from flowise_telemetry_schemas import EventSchema
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["ClickhouseSink"]

_LOOKS = 50


class ClickhouseSink(ErasingServer):
    """Events in the tables of one ClickHouse server. Fulfils all roles.

    There are no transactions over tables, so the log (``clickhouse.log``) decides: writers take turns, rows carry the
    number of their batch, and readers leave out the rows of batches that are not whole.
    """

    def __init__(self, address: Address, *, table_set: str = "", turn_seconds: float = TURN_SECONDS) -> None:
        self._address = address
        self._table_set = table_set
        self._turn_seconds = turn_seconds
        # This text must never change: the ids of replays are hashes of it (``ReplayRequest.run_id``).
        self._url = address.shown + (f" (beside: {table_set})" if table_set else "")
        self._schemas = KnownEvents()
        self._swept: set[int] = set()
        self._server = Server(address)
        self._views = AnalystViews(self._server, self._url, table_set)
        self._ids = RecentIds(self._server)
        self._erasures = ServerErasures(self._server)
        self._claims = Claims(self._url)
        self._locks = LogLocks(address, table_set)
        self._turns = Turns(self._server, lock_ms=self._locks.lock_ms, turn_seconds=turn_seconds)

    @property
    def url(self) -> str:
        """The address, with the name of staging tables; its password is masked."""
        return self._url

    def prepare(self, schemas: Iterable[EventSchema]) -> None:
        """Create missing tables and columns, and remove what batches left that never became whole."""
        self._schemas.add(schemas)
        self._make_tables([self._table_set], {**self._schemas, **account_schemas()})
        self._sweep(self._turns.state().annulled)
        self._views.make(self._schemas.values())

    def write(self, batch: Batch) -> WriteResult:
        """Add the new events, then commit them and the offsets by one entry in the log."""
        require_prepared(self, batch, self._schemas)
        for event, frame in batch.frames.items():
            require_values(self._url, self._schemas[event], frame)
        steps = self._claims.advances(batch)
        frames = with_letters(batch).frames
        if not frames and not steps:
            return WriteResult(written={}, duplicates={})
        held = {step.partition: self._entry(batch.source, step.partition, step.epoch) for step in steps}
        with self._turn(list(held.values())) as turn:
            self._claims.require(batch, turn.state.stored_of(self._table_set, batch.source))
            known = self._erasures.current(is_known=self._ids.is_current(turn.state), quick=True)
            kept, erased = known.keep(frames)
            written = self._insert(kept, turn)
            turn.entries.extend(
                self._entry(
                    batch.source, step.partition, 0, kind="offset", batch=turn.number, next_offset=step.next_offset
                )
                for step in steps
            )
        self._ids.end(turn.number, turn.state)
        return WriteResult.of(batch, written, erased)

    def claim(
        self, source: str, partitions: Iterable[TopicPartition], *, description: str = ""
    ) -> Mapping[TopicPartition, int]:
        """Claim partitions by one insert; batches of earlier claimants that are under way are annulled."""
        claimed = sorted(set(partitions))
        if not claimed:
            return {}
        epoch = secrets.randbits(62) or 1
        self._make_tables([self._table_set], {})
        entries = [
            self._entry(source, partition, epoch, kind="claim", description=description) for partition in claimed
        ]
        append(self._server, entries, token=f"claim:{epoch}")
        state = self._turns.state()
        lost = [begun.number for begun in state.begun.values() if state.is_fenced(begun)]
        for number in lost:
            self._turns.annul(number)
        if lost:
            # One of them may have ended before.
            state = self._turns.state()
        self._claims.record(source, dict.fromkeys(claimed, epoch))
        offsets = {partition: its.next_offset for partition, its in state.stored_of(self._table_set, source).items()}
        return {partition: offset for partition in claimed if (offset := offsets.get(partition)) is not None}

    def progress(self) -> list[SourceProgress]:
        """Return the progress of each source."""
        return sources_of(self._read_state(columns_of(self._server), mends=True).progress_of(self._table_set))

    def lock(self, name: str) -> None:
        """Acquire a lock in the log; a thread renews it until ``close``."""
        self._make_tables([self._table_set], {})
        self._locks.take(name)

    def staging(self, name: str) -> Self:
        """Return a sink whose tables are ``<name>__<event>`` in the same database."""
        return type(self)(
            self._address,
            table_set=promotion.table_of(self._table_set, staging_name(name)),
            turn_seconds=self._turn_seconds,
        )

    def promote(self, name: str) -> None:
        """Exchange the names of the tables, one after another, and then the progress.

        Our readers see all or nothing of it, others table after table. Views read by name, and so show the new rows.
        """
        other = self.staging(name)
        known, held = self._schemas.all(), columns_of(self._server)
        there = {event: schema for event, schema in known.items() if other._table(event) in held}
        if not there:
            raise SinkError(f"{other.url} has no tables: fill them first")
        there |= account_schemas()
        self._make_tables([self._table_set, other._table_set], there)
        with self._turn([], end="promoted") as turn:
            found = promotion.begin(self._server, turn.number, self._table_set, other._table_set, there)
            promotion.exchange(self._server, found)
        self._views.make(known[event] for event in there if event in known)

    def read(self, event: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """Yield the rows of one table in the order of their time, of the batches that were whole at the start."""
        schema = self._schemas.find(event)
        held = columns_of(self._server)
        require_table(self._url, self._table(event), schema, held.get(self._table(event), frozenset()))
        yield from self._pages(schema, held, batch_rows)

    def account(self, table: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """Yield the rows of one table of the account."""
        held = columns_of(self._server)
        if self._table(table) in held:
            yield from self._pages(account_schemas()[table], held, batch_rows)

    def _pages(self, schema: EventSchema, held: Mapping[str, frozenset[str]], rows: int) -> Iterator[pl.DataFrame]:
        state = self._read_state(held)
        condition = visible(state.settled, state.annulled)
        return pages_of(self._server, self._table(schema.event), schema, condition, rows=rows, url=self._url)

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each table, all as of one moment."""
        for _ in range(_LOOKS):
            held = columns_of(self._server)
            state = self._read_state(held)
            there = [event for event in sorted(self._schemas.all()) if self._table(event) in held]
            if not there:
                return {}
            condition = visible(state.settled, state.annulled)
            counted = self._server.rows(
                " UNION ALL ".join(
                    f"SELECT {text(event)}, count() FROM {name(self._table(event))} WHERE {condition}"  # noqa: S608 - our table
                    for event in there
                )
            )
            after = self._read_state(held)
            if not state.promotion and not after.promotion and state.promotions == after.promotions:
                return {event: int(rows) for event, rows in sorted(counted)}
        raise SinkUnavailableError(f"{self._url}: a promotion is under way; the next write finishes a killed one")

    def prune(self, before_ms: int, *, dry_run: bool = False) -> Iterator[Mapping[str, int]]:
        """Remove old events, a turn for each month of each table; months that hold nothing else go whole."""
        held = columns_of(self._server)
        state = self._read_state(held)
        condition = visible(state.settled, state.annulled)
        there = [event for event in sorted(self._schemas.all()) if self._table(event) in held]
        if dry_run:
            counts = {event: count_before(self._server, self._table(event), before_ms, condition) for event in there}
            yield {event: count for event, count in counts.items() if count}
            there = []
        for event in there:
            for month in months_before(self._server, self._table(event), before_ms):
                with self._turn([]) as turn:
                    condition = visible(turn.number - 1, turn.state.annulled)
                    removed = remove_month(self._server, self._table(event), month, before_ms, condition)
                if removed:
                    yield {event: removed}

    def close(self) -> None:
        """Release the locks and close the connections."""
        self._locks.release()
        self._server.close()

    def _insert(self, frames: Mapping[str, pl.DataFrame], turn: Turn) -> dict[str, int]:
        """Insert the rows whose event is new, and account for them; return their numbers."""
        rows = {event: first_of_each(frame) for event, frame in frames.items()}
        condition = visible(turn.number - 1, turn.state.annulled)
        ids = {self._table(event): frame["event_id"] for event, frame in rows.items()}
        known, as_held = self._ids.known(turn.state, ids, condition), as_bytes(ids)
        added: dict[str, pl.DataFrame] = {}
        for event in sorted(rows):
            table, frame = self._table(event), rows[event]
            its, there = as_held[table], known.get(table)
            if there is not None and len(there):
                is_new = ~its.is_in(there.implode())
                frame, its = frame.filter(is_new), its.filter(is_new)
            added[event] = frame
            self._ids.add(table, its)
            self._append(event, frame, turn)
        self._append(STREAMS_TABLE, filed_rows(added), turn)
        return {event: frame.height for event, frame in added.items()}

    def _append(self, event: str, frame: pl.DataFrame, turn: Turn) -> None:
        if frame.height:
            schema = self._schemas.get(event) or account_schemas()[event]
            columns = [field.column for field in schema.fields]
            numbered = frame.select(*columns, pl.lit(turn.number, pl.UInt64()).alias(BATCH))
            self._server.insert(self._table(event), numbered, token=f"batch:{turn.number}")

    @contextlib.contextmanager
    def _turn(self, claims: Sequence[Entry], *, end: str = "commit") -> Iterator[Turn]:
        """Take a turn, and finish what a killed promotion left."""
        with self._turns.take(claims, end=end) as turn:
            if (unfinished := turn.state.promotion) is not None:
                promotion.finish(self._server, unfinished)
                turn.state = self._turns.state()
            # What comes from their writers later is hidden as well, and goes with the next prepare.
            self._sweep(turn.state.annulled - self._swept)
            yield turn

    def _make_tables(self, table_sets: Sequence[str], schemas: Mapping[str, EventSchema]) -> None:
        """Create what is missing; if nothing is, a login that may only read and write is enough."""
        held = columns_of(self._server)
        if PROGRESS_TABLE not in held:
            make_log(self._server)
        require_order(self._server, self._url)
        for table_set in table_sets:
            for table, schema in ((promotion.table_of(table_set, event), its) for event, its in schemas.items()):
                make_table(self._server, table, schema, held.get(table, frozenset()))

    def _read_state(self, held: Mapping[str, frozenset[str]], *, mends: bool = False) -> State:
        return self._turns.state(quick=False, mends=mends) if PROGRESS_TABLE in held else State()

    def _sweep(self, annulled: Set[int]) -> None:
        """Delete the rows of annulled batches, which we hide, for those who read the tables by themselves."""
        if annulled:
            for event in (*self._schemas, *account_schemas()):
                delete_batches(self._server, self._table(event), annulled)
            self._swept |= annulled

    def _table(self, event: str) -> str:
        return promotion.table_of(self._table_set, event)

    def _entry(
        self, source: str, partition: TopicPartition, claim: int, *, kind: str = "claim", **more: object
    ) -> Entry:
        return Entry(
            kind=kind,
            table_set=self._table_set,
            source=source,
            topic=partition.topic,
            partition=partition.partition,
            claim=claim,
            **more,  # type: ignore[arg-type]  # fields of an entry
        )
