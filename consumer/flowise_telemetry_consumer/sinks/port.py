"""The sink port: everything the consumer knows of a place that keeps events.

A sink has up to nine roles. Every sink is a ``Sink``; it has the methods of another role only if it can keep that
role's promises, and callers check with ``isinstance``:

    Sink           url, prepare, write, close    every sink
    KnowsEvents    know, unknown_tables          can be told of events that this package does not ship
    KeepsProgress  claim, progress, lock         stores each source's offsets with its rows
    Readable       read, counts                  its events can be read back
    Stageable      staging, promote              a second set of tables, filled unseen and made live at once
    Prunable       prune                         events before a time can be removed
    Erasable       erase, erasures, remains      events of an id can be removed, and never come back
    HasSnapshots   snapshot                      its rows have an order, so that reading can go on where it stopped
    KeepsAccount   account                       counts of its own of what arrived: ``sinks.account.port``

One adapter per kind of place; their contract is the test suite ``tests/consumer/sinks/test_contract.py``, which runs
on all of them. A sink belongs to the thread that uses it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self, runtime_checkable

import polars as pl

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.erasures import ErasedIds, Erasure
from flowise_telemetry_schemas import ConfigurationError, EventSchema
from flowise_telemetry_transport.types import TopicPartition

__all__ = [
    "Batch",
    "Erasable",
    "HasSnapshots",
    "KeepsProgress",
    "KnowsEvents",
    "Prunable",
    "Readable",
    "Sink",
    "Snapshot",
    "SourceProgress",
    "Stageable",
    "WriteResult",
    "require_prepared",
    "staging_name",
]

_STAGING_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")


@dataclass(frozen=True, slots=True)
class Batch:
    """The events and offsets of one transaction.

    ``frames`` are in the shape of ``polars_schema``, keyed by event name, none of them empty. ``offsets`` are the next
    offsets of its source after this batch; ``source`` is the consumer group or the id of the replay. A batch may have
    offsets and no frames, if all records were filtered out or became dead letters. ``held`` are next offsets that the
    sink is known to have stored for the source before. ``letters`` are rows of the dead letters' account
    (``sinks.account.letters``), for a sink that ``KeepsAccount``; others ignore them.
    """

    frames: Mapping[str, pl.DataFrame]
    offsets: Mapping[TopicPartition, int] = field(default_factory=dict)
    source: str = ""
    held: Mapping[TopicPartition, int] = field(default_factory=dict)
    letters: pl.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class WriteResult:
    """Numbers of events that a batch added, and that the sink already had, by event name.

    ``erased`` were left out because they were erased from this sink before (``Erasable``); events without any are left
    out of it.
    """

    written: Mapping[str, int]
    duplicates: Mapping[str, int]
    erased: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, batch: Batch, written: Mapping[str, int], erased: Mapping[str, int]) -> Self:
        """Return the result of a batch, of which all that was neither written nor erased was there before."""
        added = {event: written.get(event, 0) for event in batch.frames}
        there = {event: its.height - added[event] - erased.get(event, 0) for event, its in batch.frames.items()}
        return cls(written=added, duplicates=there, erased=erased)


@dataclass(frozen=True, slots=True)
class SourceProgress:
    """Progress of one source: the offset after the last one written, by partition.

    ``description`` was given with the last ``claim``, ``descriptions`` with the last one of each partition;
    ``updated_at_ms`` is the time of the source's last write or claim, in milliseconds since 1970.
    """

    source: str
    description: str
    next_offsets: Mapping[TopicPartition, int]
    updated_at_ms: int
    descriptions: Mapping[TopicPartition, str] = field(default_factory=dict, compare=False)


@runtime_checkable
class Sink(Protocol):
    """A place that keeps events, each once. Opening it touches nothing; the first other call does."""

    @property
    def url(self) -> str:
        """The address, for messages: its password is masked."""

    def prepare(self, schemas: Iterable[EventSchema]) -> None:
        """Create missing tables, and add the columns that newer versions of a schema have.

        Of several versions of an event the newest counts. May be called again, and by many consumers at once. Raises
        ``SinkError`` if someone has to mend something, ``SinkUnavailableError`` if waiting helps.
        """

    def write(self, batch: Batch) -> WriteResult:
        """Write all of a batch or, if this raises, nothing of it; an event that the sink already has changes nothing.

        After it returns, the events survive a crash of this process and of the machine. After ``SinkUnavailableError``
        (which leaves open whether the batch got through) the same batch may be written again; lost connections are
        opened again. Raises ``SinkError`` for an event that was not prepared.

        A sink that ``KeepsProgress`` stores, in the same transaction, the offsets of the partitions that it claimed for
        ``batch.source``, and ignores those of others. It raises ``FencedError`` when another sink has claimed one of
        the partitions since, and ``SinkBehindError`` when a stored offset is lower than that of ``batch.held``: the
        place was restored or failed over, and the rows between are missing. Nothing is written then.
        """

    def close(self) -> None:
        """Release files, connections and locks. May be called again."""


@runtime_checkable
class KnowsEvents(Protocol):
    """A sink that reads, counts, prunes and erases events that this package does not ship, without ``prepare``."""

    def know(self, schemas: Iterable[EventSchema]) -> None:
        """Take these for what the sink may hold, where it is not prepared. Touches nothing."""

    def unknown_tables(self) -> Sequence[str]:
        """Return the tables that hold events of kinds which it does not know: nothing was read or erased there."""


@runtime_checkable
class KeepsProgress(Protocol):
    """A sink that stores each source's offsets together with its rows, and fences former owners."""

    def claim(
        self, source: str, partitions: Iterable[TopicPartition], *, description: str = ""
    ) -> Mapping[TopicPartition, int]:
        """Make this sink the only writer of these partitions for a source; return the next offset of each.

        Partitions of which nothing was written yet are left out. From now on a batch of an earlier claimant (a consumer
        that lost the partition and does not know it yet) raises ``FencedError`` and changes nothing.
        """

    def progress(self) -> list[SourceProgress]:
        """Return the progress of each source that ever claimed here, sorted by name. Needs no ``prepare``."""

    def lock(self, name: str) -> None:
        """Acquire an exclusive named lock, held until ``close`` or until the process exits, however it exits.

        Raises ``SinkInUseError`` at once when another sink holds it. Acquiring it again is allowed, and renews a lock
        that would expire; so does writing.
        """


@runtime_checkable
class Readable(Protocol):
    """A sink whose events can be read back."""

    def read(self, event: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """Yield the rows of one event in the shape of ``polars_schema``, at most ``batch_rows`` a frame, in any order.

        Shows the state of one moment and does not hinder a writer. Needs no ``prepare``: without it the schemas that
        the package ships are used. Raises ``SinkError`` if the event has no table yet.
        """

    def counts(self) -> dict[str, int]:
        """Return the number of rows by event; events without a table are left out."""


@runtime_checkable
class Stageable(Protocol):
    """A sink that can have a second set of tables."""

    def staging(self, name: str) -> Self:
        """Return a staging sink: separate tables in the same place, filled unseen and made live by ``promote``.

        It has the same roles and is prepared, claimed, locked and closed separately. Raises ``ConfigurationError`` for
        a name that ``staging_name`` refuses.
        """

    def promote(self, name: str) -> None:
        """Exchange the tables of ``staging(name)`` with these, in one transaction: readers see all old or all new.

        Afterwards ``staging(name)`` has the old ones, and another ``promote`` brings them back. An event for which the
        staging sink was not prepared keeps its live table. Progress moves with its rows. Open sinks keep working: a
        claim made here holds for the new tables, a claim made there is fenced. Raises ``SinkError`` if nothing has that
        name, ``SinkUnavailableError`` if others do not release the tables.
        """


@runtime_checkable
class Prunable(Protocol):
    """A sink whose old events can be removed."""

    def prune(self, before_ms: int, *, dry_run: bool = False) -> Iterator[Mapping[str, int]]:
        """Remove the events that occurred before a time, in milliseconds since 1970; yield each step's count by event.

        A step is one transaction, small enough not to hinder writers and readers; partitions or files that hold nothing
        else go whole. Whoever stops iterating stops pruning, and what was yielded stays removed. Progress stays as it
        is: consumers and replays go on, and nothing that is pruned comes back but by a replay of its offsets. Needs no
        ``prepare``. ``dry_run``: count, and change nothing. Raises as ``write``.
        """


@runtime_checkable
class Erasable(Protocol):
    """A sink from which the events of an id can be removed, for good.

    Keyed hashes of the ids stay in the sink (``sinks.erasures``), for all its tables, staging tables too: from then on
    ``write`` leaves out what has one of them, however it comes, and counts it as ``erased``.
    """

    def erase(self, ids: ErasedIds, *, dry_run: bool = False) -> Iterator[Mapping[str, int]]:
        """Remove the events that have one of these ids; yield each step's count by table, staging tables too.

        The hashes are stored first, in a transaction of their own that waits for writes under way: no event that is
        removed comes back, however this ends. Start it again after a stop. Needs no ``prepare``. ``dry_run``: count,
        and change nothing. Raises as ``write``.
        """

    def erasures(self) -> list[Erasure]:
        """Return the hashes, none where nothing was erased. Needs no ``prepare``."""

    def remains(self) -> str:
        """Return in a sentence what of erased rows is still in the files of this place, and what removes that."""


class Snapshot(Protocol):
    """The rows of a sink at one moment, each event's in an order that stays the same."""

    @property
    def name(self) -> str:
        """A text by which ``HasSnapshots.snapshot`` finds this state again, in another process too."""

    def counts(self) -> dict[str, int]:
        """Return the number of rows by event; events without a table are left out."""

    def read(self, event: str, *, start_row: int = 0, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """Yield the rows of one event from this one on, counted from 0; otherwise as ``Readable.read``.

        Raises ``SnapshotGoneError`` where rows of this state were removed meanwhile.
        """


@runtime_checkable
class HasSnapshots(Protocol):
    """A readable place whose rows have an order as of a moment: reading can go on in another process."""

    def snapshot(self, name: str = "") -> Snapshot:
        """Return the state of this moment, or the one of this name. Raises ``SnapshotGoneError`` where that is gone."""


def require_prepared(sink: Sink, batch: Batch, prepared: Iterable[str]) -> None:
    """Raise ``SinkError`` if a batch has an event that ``prepare`` was not given."""
    for event in sorted(batch.frames.keys() - set(prepared)):
        raise SinkError(f"{event} was not prepared in {sink.url}", event=event)


def staging_name(name: str) -> str:
    """Return a name that can be part of a table's name in any database, or raise ``ConfigurationError``."""
    if not _STAGING_NAME.fullmatch(name):
        raise ConfigurationError(
            f"not a name for staging tables: {name[:40]!r}; use 1 to 31 of a-z, 0-9 and _, a letter first"
        )
    return name
