"""The seam: what the consumer knows of a place that keeps events.

One adapter per kind of place; their contract is the test-suite ``tests/consumer/sinks/test_contract.py``, which runs
on all of them. A sink belongs to the thread that uses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl

from flowise_telemetry_schemas import EventSchema
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["Batch", "Sink", "SourceProgress", "WriteResult"]


@dataclass(frozen=True, slots=True)
class Batch:
    """What is written in one transaction.

    ``frames`` are in the shape of ``polars_schema``, by the name of the event, none of them empty. ``offsets`` are the
    next offsets to which this batch brings its source; ``source`` is the consumer group or the id of the replay. There
    may be offsets and no frames: all the records were filtered out or dead letters.
    """

    frames: Mapping[str, pl.DataFrame]
    offsets: Mapping[TopicPartition, int] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True, slots=True)
class WriteResult:
    """How many events of each kind a batch added, and how many of them the sink had before."""

    written: Mapping[str, int]
    duplicates: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SourceProgress:
    """How far one source has come: the offset after the last one written, by partition.

    ``description`` is what the last ``claim`` said of the source; ``updated_at_ms`` is when it last wrote or claimed,
    in milliseconds since 1970.
    """

    source: str
    description: str
    next_offsets: Mapping[TopicPartition, int]
    updated_at_ms: int


class Sink(Protocol):
    """Keeps events, each once. Opening it touches nothing: the first other call does."""

    @property
    def url(self) -> str:
        """The address, for messages: its password is masked."""

    def prepare(self, schemas: Iterable[EventSchema]) -> None:
        """Makes the tables that are missing and adds columns that newer versions of a schema have.

        Of several versions of an event the newest counts. May be called again, and by many consumers at once. Raises
        ``SinkError`` where someone has to mend something, ``SinkUnavailableError`` where waiting helps.
        """

    def write(self, batch: Batch) -> WriteResult:
        """Writes all of a batch or, when it raises, nothing of it; an event that is there already changes nothing.

        After it returns the events survive a crash of this process and of the machine. After ``SinkUnavailableError``
        (which leaves open whether the batch got through) the same batch may be written again; connections that were
        lost are made anew. Raises ``SinkError`` for an event that was not prepared.

        The offsets of partitions that this sink claimed for ``batch.source`` are kept in the same transaction, those
        of others are not. Raises ``FencedError`` when another sink has claimed one of them since.
        """

    def claim(
        self, source: str, partitions: Iterable[TopicPartition], *, description: str = ""
    ) -> Mapping[TopicPartition, int]:
        """Makes this sink the one that writes these partitions for a source, and says how far each is written.

        Partitions of which nothing was written yet are left out. A batch of an earlier claimant (a consumer that lost
        the partition and does not know it yet) raises ``FencedError`` from now on and changes nothing. A sink that
        cannot keep progress answers with nothing and fences nobody.
        """

    def progress(self) -> list[SourceProgress]:
        """How far each source has come that ever claimed here, in the order of their names. Needs no ``prepare``."""

    def lock(self, name: str) -> None:
        """Takes a lock that one process at a time can have, until ``close`` or the end of the process, however it ends.

        Raises ``SinkInUseError`` at once when another has it. Taken again by who has it, nothing happens, but for a
        lock that lapses where its holder is not heard of: it is renewed by that, and by writing.
        """

    def staging(self, name: str) -> Sink:
        """Return a staging sink: separate tables in the same place, filled unseen and made live by ``promote``.

        It is a sink in every respect: prepared, claimed, locked and closed by itself. Raises ``ConfigurationError`` for
        a name that is not 1 to 31 of ``a-z``, ``0-9`` and ``_`` with a letter first, ``SinkError`` where the sink
        cannot have such.
        """

    def promote(self, name: str) -> None:
        """Exchange the tables of ``staging(name)`` with these, in one transaction: readers see all old or all new.

        Afterwards ``staging(name)`` has the old ones, and another ``promote`` brings them back. An event that it was
        not prepared for keeps its table here. Progress stays with the rows that it tells of. Sinks that are open go on:
        who had claimed here has a claim on the new tables, who had claimed there is fenced. Raises ``SinkError`` where
        nothing has that name, ``SinkUnavailableError`` where others do not let go of the tables.
        """

    def read(self, event: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """The events of one kind in the shape of ``polars_schema``, at most ``batch_rows`` to a frame, in no set order.

        Shows the state of one moment and does not hinder a writer. Needs no ``prepare``: without it the schemas that
        the package ships count. Raises ``SinkError`` where the event has no table yet.
        """

    def counts(self) -> dict[str, int]:
        """How many events of each kind the sink holds; events without a table are left out."""

    def close(self) -> None:
        """Lets go of files and connections. May be called again."""
