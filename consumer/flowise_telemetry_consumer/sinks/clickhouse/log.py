"""The log of a ClickHouse sink: a table to which everything is added in one order, and what follows from it.

ClickHouse has no transactions over tables. It does number the inserts into a table in the order in which they become
visible (``_block_number``), and an insert of one block is there whole or not at all. So what has to be decided once is
decided by the first row about it:

    claim     the claims of a source on partitions; the last one of a partition holds
    begin     a batch takes its place: its number is the number of this insert, and it waits for those before it
    commit    the batch of that number is whole, with the ``offset`` rows of the same insert
    annul     the batch of that number never was: its rows are hidden, and a commit that comes later changes nothing
    promote   tables are about to be exchanged, by the batch of that number; ``promoted``: they are
    lock      a named lock, renewed by another such row; ``unlock``: released
    state     all of the above, summed up as of a number: older rows may go
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from flowise_telemetry_consumer.sinks.claims import PROGRESS_TABLE, ProgressRow, Stored, carried_offset
from flowise_telemetry_consumer.sinks.clickhouse.server import Server, name
from flowise_telemetry_transport.types import TopicPartition

__all__ = [
    "Begun",
    "Entry",
    "Key",
    "Partition",
    "Promotion",
    "State",
    "append",
    "make_log",
    "read_log",
]

_COLUMNS = {
    "kind": "LowCardinality(String)",
    "table_set": "LowCardinality(String)",
    "source": "String",
    "topic": "String",
    "partition": "Int32",
    "next_offset": "Nullable(Int64)",
    "claim": "Int64",
    "description": "String",
    "batch": "Int64",
    "as_of": "Int64",
    "claimed_at_ms": "Nullable(Int64)",
    "updated_at_ms": "Nullable(Int64)",
}
_RANKS = {kind: rank for rank, kind in enumerate(("state", "begin", "annul", "commit", "claim", "promote", "promoted"))}

Key = tuple[str, str, TopicPartition]
"""Set of tables ("" is the live one), source and partition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row to add."""

    kind: str
    table_set: str = ""
    source: str = ""
    topic: str = ""
    partition: int = -1
    next_offset: int | None = None
    claim: int = 0
    description: str = ""
    batch: int = 0
    as_of: int = 0
    claimed_at_ms: int | None = None
    updated_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Partition:
    """State of one partition of a source."""

    next_offset: int | None = None
    claim: int = 0
    description: str = ""
    claimed_at_ms: int | None = None
    updated_at_ms: int = 0

    def row(self, source: str, partition: TopicPartition) -> ProgressRow:
        """Return it as a row of progress."""
        return ProgressRow(
            source, partition, self.next_offset, self.description, self.claimed_at_ms, self.updated_at_ms
        )


@dataclass(frozen=True, slots=True)
class Begun:
    """A batch that has begun and is neither whole nor annulled."""

    number: int
    nonce: int
    age_ms: int
    claims: Mapping[Key, int]


@dataclass(frozen=True, slots=True)
class Promotion:
    """An exchange that has begun: the batch that does it, both sets, and the ids of the first one's tables (JSON)."""

    number: int
    live: str
    table_set: str
    found: str


@dataclass(slots=True)
class State:
    """What follows from the log."""

    last: int = 0
    begun: dict[int, Begun] = field(default_factory=dict)
    committed: set[int] = field(default_factory=set)
    annulled: set[int] = field(default_factory=set)
    partitions: dict[Key, Partition] = field(default_factory=dict)
    promotion: Promotion | None = None
    promotions: int = 0
    holders: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    is_restored: bool = False
    """True where numbers are lower than those that they name: see ``clickhouse.restored``."""

    @property
    def settled(self) -> int:
        """Return the number up to which every batch is whole or annulled."""
        return min(self.begun) - 1 if self.begun else self.last

    def is_fenced(self, begun: Begun) -> Key | None:
        """Return the first partition of a batch that another has claimed since; None if there is none."""
        return next((key for key, claim in begun.claims.items() if self.claim_of(key) != claim), None)

    def claim_of(self, key: Key) -> int:
        """Return the claim that holds; 0 if nobody claimed the partition."""
        its = self.partitions.get(key)
        return its.claim if its else 0

    def stored_of(self, table_set: str, source: str) -> dict[TopicPartition, Stored]:
        """Return what is stored of a source in one set of tables."""
        return {
            partition: Stored(its.next_offset, its.claim)
            for (where, whose, partition), its in self.partitions.items()
            if (where, whose) == (table_set, source)
        }

    def progress_of(self, table_set: str) -> list[ProgressRow]:
        """Return the progress in one set of tables."""
        return [
            its.row(source, partition)
            for (where, source, partition), its in self.partitions.items()
            if where == table_set
        ]

    def summary(self) -> list[Entry]:
        """Return the entries that say the same as all up to ``last``, save for batches under way and locks."""
        partitions = [
            Entry(
                kind="state",
                table_set=where,
                source=source,
                topic=partition.topic,
                partition=partition.partition,
                next_offset=its.next_offset,
                claim=its.claim,
                description=its.description,
                as_of=self.last,
                claimed_at_ms=its.claimed_at_ms,
                updated_at_ms=its.updated_at_ms,
            )
            for (where, source, partition), its in self.partitions.items()
        ]
        return [*partitions, *(Entry(kind="annul", batch=batch, as_of=self.last) for batch in sorted(self.annulled))]


def make_log(server: Server, table: str = PROGRESS_TABLE) -> None:
    """Create the table. Every insert waits for the disk."""
    declared = ", ".join(f"{name(column)} {kind}" for column, kind in _COLUMNS.items())
    server.execute(
        f"CREATE TABLE IF NOT EXISTS {name(table)} ({declared}, at DateTime64(3, 'UTC') DEFAULT now64(3)) "
        "ENGINE = MergeTree ORDER BY tuple() SETTINGS enable_block_number_column = 1, fsync_after_insert = 1, "
        "fsync_part_directory = 1, non_replicated_deduplication_window = 1000"
    )


def append(server: Server, entries: Iterable[Entry], *, token: str) -> None:
    """Add entries, in one insert: all of them or none."""
    rows = [[getattr(entry, column) for column in _COLUMNS] for entry in entries]
    server.insert_rows(PROGRESS_TABLE, list(_COLUMNS), rows, token=token)


def read_log(server: Server, *, lock_ms: int, quick: bool = True) -> State:
    """Return the state of this moment."""
    names = ", ".join(name(column) for column in _COLUMNS)
    rows = server.rows(
        f"SELECT _block_number, toUnixTimestamp64Milli(at), toUnixTimestamp64Milli(now64(3)), {names} "  # noqa: S608 - our table
        f"FROM {name(PROGRESS_TABLE)}",
        quick=quick,
    )
    entries = [(number, at, now, Entry(**dict(zip(_COLUMNS, rest, strict=True)))) for number, at, now, *rest in rows]
    entries.sort(key=lambda row: (row[3].as_of or row[0], bool(row[3].as_of), row[0], _RANKS.get(row[3].kind, 9)))
    state = State(last=max((number for number, *_ in entries), default=0), rows=len(entries))
    state.is_restored = any(_names_a_later(number, entry) for number, _, _, entry in entries)
    locks: dict[tuple[str, int], tuple[int, int]] = {}
    for number, at_ms, now_ms, entry in entries:
        match entry.kind:
            case "lock" | "unlock":
                _lock(locks, number, at_ms, entry, lock_ms)
            case "begin":
                _begin(state, number, now_ms - at_ms, entry)
            case _:
                _settle(state, number, at_ms, entry)
    now = max((now_ms for _, _, now_ms, _ in entries), default=0)
    held = sorted((first, who) for who, (first, last_ms) in locks.items() if now - last_ms <= lock_ms)
    for _, (lock, holder) in held:
        state.holders.setdefault(lock, holder)
    return state


def _names_a_later(number: int, entry: Entry) -> bool:
    """Return True for what cannot be: a batch ends after it began, and what is summed up came before."""
    batch = entry.batch if entry.kind in {"annul", "commit", "offset", "promote", "promoted"} else 0
    return max(batch, entry.as_of) >= number


def _begin(state: State, number: int, age_ms: int, entry: Entry) -> None:
    its = state.begun.get(number) or Begun(number, entry.batch, age_ms, {})
    claims = dict(its.claims)
    if entry.topic:
        claims[(entry.table_set, entry.source, TopicPartition(entry.topic, entry.partition))] = entry.claim
    state.begun[number] = replace(its, claims=claims)


def _settle(state: State, number: int, at_ms: int, entry: Entry) -> None:
    key: Key = (entry.table_set, entry.source, TopicPartition(entry.topic, entry.partition))
    its = state.partitions.get(key, Partition())
    match entry.kind:
        case "state":
            state.partitions[key] = Partition(
                entry.next_offset, entry.claim, entry.description, entry.claimed_at_ms, entry.updated_at_ms or 0
            )
        case "claim":
            state.partitions[key] = replace(
                its, claim=entry.claim, description=entry.description, claimed_at_ms=at_ms, updated_at_ms=at_ms
            )
        case "annul":
            if state.begun.pop(entry.batch, None) or entry.as_of:
                state.annulled.add(entry.batch)
        case "commit":
            if state.begun.pop(entry.batch, None):
                state.committed.add(entry.batch)
        case "offset":
            if entry.batch in state.committed:
                state.partitions[key] = replace(its, next_offset=entry.next_offset, updated_at_ms=at_ms)
        case "promote":
            if entry.batch in state.begun:
                state.promotion = Promotion(entry.batch, entry.source, entry.table_set, entry.description)
        case "promoted":
            if state.promotion is not None and state.promotion.number == entry.batch:
                _exchange(state, state.promotion, at_ms)
                state.begun.pop(entry.batch, None)
                state.promotion = None
                state.promotions = number


def _exchange(state: State, promotion: Promotion, at_ms: int) -> None:
    """Exchange the progress of two sets. Claims stay with the name, so that running consumers keep writing."""
    other = {promotion.live: promotion.table_set, promotion.table_set: promotion.live}
    moved: dict[Key, Partition] = {
        (other.get(where, where), source, partition): its
        for (where, source, partition), its in state.partitions.items()
    }
    incoming = [its.row(*key[1:]) for key, its in moved.items() if key[0] == promotion.live]
    for key, its in state.partitions.items():
        if key[0] == promotion.live:
            offset = carried_offset(its.row(*key[1:]), incoming)
            held = moved.get(key) or Partition(offset, 0, its.description, None, at_ms)
            moved[key] = replace(held, claim=its.claim)
    state.partitions = moved


def _lock(locks: dict[tuple[str, int], tuple[int, int]], number: int, at_ms: int, entry: Entry, lock_ms: int) -> None:
    who = (entry.source, entry.claim)
    if entry.kind == "unlock":
        locks.pop(who, None)
        return
    first, last_ms = locks.get(who, (number, at_ms))
    # A holder who came too late to renew it stands at the end again.
    locks[who] = (first if at_ms - last_ms <= lock_ms else number, at_ms)
