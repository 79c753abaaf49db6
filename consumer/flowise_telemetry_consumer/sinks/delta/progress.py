"""How far each source has come and up to which version of each table: a small table that is committed last."""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from flowise_telemetry_consumer.errors import SinkUnavailableError
from flowise_telemetry_consumer.sinks.claims import PROGRESS_TABLE, Claims, ProgressRow, Stored, sources_of
from flowise_telemetry_consumer.sinks.delta.log import TableLog, now_ms
from flowise_telemetry_consumer.sinks.delta.single_file import overwrite
from flowise_telemetry_consumer.sinks.delta.store import Store
from flowise_telemetry_consumer.sinks.port import Batch, SourceProgress
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["Kept", "Progress", "State"]

_TRANSACTION = "flowise_telemetry"
_COMMIT_TRIES = 200
_LONGS = ("partition", "next_offset", "epoch", "claimed_at_ms", "updated_at_ms")
_TEXTS = ("kind", "source", "topic", "description")
_COLUMNS = {
    **dict.fromkeys(_TEXTS, pl.String()),
    **dict.fromkeys(_LONGS, pl.Int64()),
}
_FIELDS: list[Any] = [
    {"name": name, "type": "string" if name in _TEXTS else "long", "nullable": True, "metadata": {}}
    for name in _COLUMNS
]


@dataclass(frozen=True, slots=True)
class Kept:
    """One partition of a source: ``epoch`` is a random token of the claim that may write it."""

    next_offset: int | None
    epoch: int
    description: str
    claimed_at_ms: int | None
    updated_at_ms: int

    def row(self, source: str, partition: TopicPartition) -> ProgressRow:
        """Return it as a row of progress."""
        return ProgressRow(
            source, partition, self.next_offset, self.description, self.claimed_at_ms, self.updated_at_ms
        )


@dataclass(frozen=True, slots=True)
class State:
    """All that is kept at one version of the table.

    ``versions`` are those of the event tables at the last write that ended. ``exchanges`` counts the beginnings and
    ends of promotions: odd while one is under way, which ``promotion`` describes as JSON.
    """

    sources: Mapping[tuple[str, TopicPartition], Kept] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)
    exchanges: int = 0
    promotion: str = ""


class Progress:
    """The progress table of one set of tables, and the claims of one sink."""

    def __init__(self, store: Store, prefix: str, url: str) -> None:
        self._store = store
        self._claims = Claims(url)
        self._url = url
        self._log = TableLog(store, prefix + PROGRESS_TABLE)
        self._state = State()
        self._read_version: int | None = None

    @property
    def state(self) -> State:
        """What was read last."""
        return self._state

    @property
    def claims(self) -> Claims:
        """The claims of this sink; they outlive ``forget``."""
        return self._claims

    def forget(self) -> None:
        """Forget what was read."""
        self._log, self._state, self._read_version = TableLog(self._store, self._log.table), State(), None

    def create(self) -> None:
        """Create the table where it is missing, and read it."""
        if not self.load() and not self._log.create(_FIELDS, []):
            self._log.load()
        self.load()

    def load(self) -> bool:
        """Read the newest state; return False where there is no table."""
        if self._log.version is not None:
            self._log.refresh()
        elif not self._log.load():
            self._state, self._read_version = State(), None
            return False
        # Not only where there is something new: reading it may have failed the last time.
        if self._read_version != self._log.version:
            self._state = self._read()
            self._read_version = self._log.version
        return True

    def change(self, make: Callable[[State], State | None]) -> State:
        """Replace the state by what ``make`` returns for the newest one, or not at all where that is None.

        ``make`` may raise; it is asked again where others came first.
        """
        for _ in range(_COMMIT_TRIES):
            wanted = make(self._state)
            if wanted is None or self._commit(wanted):
                return self._state
            self.load()
        raise SinkUnavailableError(f"{self._url}: others claim and write at the same time")

    def claim(
        self, source: str, partitions: Iterable[TopicPartition], description: str
    ) -> Mapping[TopicPartition, int]:
        """Make this sink the only one that writes these partitions; return how far they are written."""
        wanted = sorted(set(partitions))
        # Random and not counted: a copy that is restored, or a promotion, brings no epoch of before to life.
        epochs = {partition: secrets.randbits(62) for partition in wanted}

        def claimed(state: State) -> State | None:
            now, sources = now_ms(), dict(state.sources)
            for partition in wanted:
                before = sources.get((source, partition))
                offset = before.next_offset if before else None
                sources[source, partition] = Kept(offset, epochs[partition], description, now, now)
            return replace(state, sources=sources) if wanted else None

        state = self.change(claimed)
        self._claims.record(source, epochs)
        kept = {partition: state.sources[source, partition].next_offset for partition in wanted}
        return {partition: offset for partition, offset in kept.items() if offset is not None}

    def require_claims(self, batch: Batch) -> None:
        """Raise ``FencedError`` where another claimed a partition of this batch, or ``SinkBehindError``."""
        sources = self._state.sources
        its = {tp: sources[batch.source, tp] for tp in batch.offsets if (batch.source, tp) in sources}
        self._claims.require(batch, {tp: Stored(kept.next_offset, kept.epoch) for tp, kept in its.items()})

    def transactions(self, batch: Batch) -> list[Mapping[str, object]]:
        """Return the next offsets as the protocol has it for applications, for whoever reads a log."""
        return [
            {
                "txn": {
                    "appId": json.dumps([_TRANSACTION, batch.source, *advance.partition]),
                    "version": advance.next_offset,
                }
            }
            for advance in self._claims.advances(batch)
        ]

    def move(self, batch: Batch, versions: Mapping[str, int], exchanges: int) -> bool:
        """Record a batch that is written; False, and nothing is recorded, where tables were promoted meanwhile.

        Raises ``FencedError``.
        """
        moved = True

        def written(state: State) -> State | None:
            nonlocal moved
            moved = state.exchanges == exchanges
            if not moved:
                return None
            self.require_claims(batch)
            sources, now = dict(state.sources), now_ms()
            for advance in self._claims.advances(batch):
                key = batch.source, advance.partition
                sources[key] = replace(sources[key], next_offset=advance.next_offset, updated_at_ms=now)
            newest = {**state.versions}
            for event, version in versions.items():
                newest[event] = max(version, newest.get(event, 0))
            anew = replace(state, sources=sources, versions=newest)
            return None if anew == state else anew

        self.change(written)
        return moved

    def sources(self) -> list[SourceProgress]:
        """Return the progress of each source."""
        return sources_of(kept.row(*key) for key, kept in self._state.sources.items())

    def _commit(self, state: State) -> bool:
        file = io.BytesIO()
        _frame(state).write_parquet(file, compression="uncompressed", statistics=False)
        if not overwrite(self._store, self._log, file.getvalue()):
            return False
        self._state, self._read_version = state, self._log.version
        return True

    def _read(self) -> State:
        for _ in range(_COMMIT_TRIES):
            if not self._log.files:
                return State()
            (path,) = self._log.files
            data = self._store.read(f"{self._log.table}/{path}")
            if data is not None:
                return _state(pl.read_parquet(io.BytesIO(data)))
            self._log.refresh()
        raise SinkUnavailableError(f"{self._url}: the table {self._log.table} changes while it is read")


def _frame(state: State) -> pl.DataFrame:
    rows: list[dict[str, Any]] = [
        {
            "kind": "source",
            "source": source,
            "topic": topic,
            "partition": number,
            "next_offset": kept.next_offset,
            "epoch": kept.epoch,
            "description": kept.description,
            "claimed_at_ms": kept.claimed_at_ms,
            "updated_at_ms": kept.updated_at_ms,
        }
        for (source, (topic, number)), kept in state.sources.items()
    ]
    rows += [{"kind": "table", "topic": event, "next_offset": version} for event, version in state.versions.items()]
    rows.append({"kind": "promotion", "epoch": state.exchanges, "description": state.promotion})
    return pl.DataFrame(rows, schema=_COLUMNS)


def _state(frame: pl.DataFrame) -> State:
    sources, versions, exchanges, promotion = {}, {}, 0, ""
    for row in frame.iter_rows(named=True):
        match row["kind"]:
            case "source":
                sources[row["source"], TopicPartition(row["topic"], row["partition"])] = Kept(
                    row["next_offset"], row["epoch"], row["description"], row["claimed_at_ms"], row["updated_at_ms"]
                )
            case "table":
                versions[row["topic"]] = row["next_offset"]
            case _:
                exchanges, promotion = row["epoch"], row["description"]
    return State(sources, versions, exchanges, promotion)
