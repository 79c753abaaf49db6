"""Two sets of tables exchange their rows, and go on from there when the process is killed in the middle.

In each table it is one commit that removes all files and adds links or copies of the other's. They become visible to
``read`` and ``counts`` at once, by one commit of the progress table; other engines see table after table change.
A promotion is described in the progress of both sets until it ends: whoever finds one there finishes it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from flowise_telemetry_consumer.errors import SinkUnavailableError
from flowise_telemetry_consumer.sinks.claims import carried_offset
from flowise_telemetry_consumer.sinks.delta.event_table import EventTable
from flowise_telemetry_consumer.sinks.delta.log import PROMOTED, TableLog, now_ms
from flowise_telemetry_consumer.sinks.delta.progress import Kept, Progress, State
from flowise_telemetry_consumer.sinks.delta.rows import DATE, merged_fields
from flowise_telemetry_consumer.sinks.delta.store import Store
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["Promotion", "begin", "finish", "finish_described"]

_APPLICATION = "flowise_telemetry/promotion"
_TRIES = 200


@dataclass(frozen=True, slots=True)
class Promotion:
    """What is exchanged. ``number`` counts the promotions of the live tables."""

    name: str
    events: tuple[str, ...]
    number: int
    token: str
    incoming: tuple[Any, ...] | None = None

    @property
    def staging_prefix(self) -> str:
        """What the names of the staging tables begin with."""
        return f"{self.name}__"

    @classmethod
    def of(cls, state: State) -> Promotion:
        """Return the one that a state describes."""
        kept = json.loads(state.promotion)
        incoming = kept["incoming"]
        return cls(
            kept["name"],
            tuple(kept["events"]),
            kept["number"],
            kept["token"],
            None if incoming is None else tuple(incoming),
        )

    def text(self) -> str:
        """Return it as it is kept."""
        return json.dumps(asdict(self))

    def is_in(self, state: State) -> bool:
        """Tell if a state describes this one, under way or ended."""
        return bool(state.promotion) and Promotion.of(state).token == self.token


def begin(store: Store, live: Progress, name: str, events: Iterable[str]) -> None:
    """Describe a promotion in the live progress. Raises ``SinkUnavailableError`` where one is under way."""
    wanted = tuple(sorted(events))
    # The tables know of promotions, too: the progress may be newer than they, removed by someone and made anew.
    promoted = max((_promoted(store, prefix + event) for event in wanted for prefix in ("", f"{name}__")), default=0)

    def begun(state: State) -> State:
        if state.exchanges % 2:
            raise SinkUnavailableError("tables are being promoted by another process: try again")
        number = max(state.exchanges, promoted + promoted % 2) + 1
        promotion = Promotion(name, wanted, number, secrets.token_hex(8))
        return replace(state, exchanges=number, promotion=promotion.text())

    live.change(begun)


def _promoted(store: Store, table: str) -> int:
    log = TableLog(store, table)
    return (log.transaction(_APPLICATION) or 0) if log.load() else 0


def finish_described(store: Store, progress: Progress, url: str) -> None:
    """Finish the promotion that a progress describes, of live or of staging tables, and read it again."""
    prefix = Promotion.of(progress.state).staging_prefix
    finish(store, Progress(store, "", store.url), Progress(store, prefix, url))
    progress.load()


def finish(store: Store, live: Progress, staging: Progress) -> None:
    """Exchange what the live progress describes; do nothing where it has ended. Two may run at once."""
    live.load()
    if not live.state.exchanges % 2:
        return
    promotion = Promotion.of(live.state)
    staging.create()
    staging.change(lambda state: _marked(state, promotion))
    live_versions, staging_versions = {}, {}
    for event in promotion.events:
        here, there = EventTable(store, event), EventTable(store, promotion.staging_prefix + event)
        _exchange(store, here, there, promotion.number)
        # What another process exchanged meanwhile is in the log, and not yet in the state that was loaded before.
        here.log.refresh()
        there.log.refresh()
        live_versions[event], staging_versions[event] = here.log.version or 0, there.log.version or 0
    staging.load()
    incoming = _packed(staging.state.sources)
    live.change(lambda state: _with_incoming(state, promotion, incoming))
    staging.change(lambda state: _ended_there(state, promotion, live.state, staging_versions))
    live.change(lambda state: _ended_here(state, promotion, live_versions))


def _marked(state: State, promotion: Promotion) -> State | None:
    if state.promotion and Promotion.of(state).number >= promotion.number:
        return None
    return replace(state, exchanges=state.exchanges + 1, promotion=promotion.text())


def _with_incoming(state: State, promotion: Promotion, incoming: tuple[Any, ...]) -> State | None:
    if not _is_under_way(state, promotion) or Promotion.of(state).incoming is not None:
        return None
    return replace(state, promotion=replace(promotion, incoming=incoming).text())


def _ended_there(state: State, promotion: Promotion, live: State, versions: Mapping[str, int]) -> State | None:
    """Return the staging state after the exchange: what was kept of the live tables, claims too."""
    if not _is_under_way(state, promotion) or not _is_under_way(live, promotion):
        return None
    return State(live.sources, {**state.versions, **versions}, state.exchanges + 1, promotion.text())


def _ended_here(state: State, promotion: Promotion, versions: Mapping[str, int]) -> State | None:
    """Return the live state after the exchange: the offsets of the staging tables, the claims made here."""
    if not _is_under_way(state, promotion):
        return None
    sources = _unpacked(Promotion.of(state).incoming or ())
    filled = [kept.row(*key) for key, kept in sources.items()]
    for key, kept in state.sources.items():
        coming = sources.get(key)
        if coming is None:
            sources[key] = replace(kept, next_offset=carried_offset(kept.row(*key), filled), claimed_at_ms=None)
        else:
            sources[key] = replace(coming, epoch=kept.epoch)
    return State(sources, {**state.versions, **versions}, state.exchanges + 1, promotion.text())


def _is_under_way(state: State, promotion: Promotion) -> bool:
    return bool(state.exchanges % 2) and promotion.is_in(state)


def _exchange(store: Store, here: EventTable, there: EventTable, number: int) -> None:
    """Exchange the rows of two tables, where that has not been done."""
    _same_columns(here, there)
    if (here.log.transaction(_APPLICATION) or 0) < number:
        there.log.refresh()
        _replace(store, here.log, there.log, number)
    if (there.log.transaction(_APPLICATION) or 0) < number:
        before = TableLog(store, here.log.table)
        before.load(_version_before(here.log, number))
        _replace(store, there.log, before, number)


def _same_columns(here: EventTable, there: EventTable) -> None:
    for one, other in ((here, there), (there, here)):
        if not one.load():
            other.load()
            one.log.create(other.log.columns, [DATE]) or one.log.load()
    for one, other in ((here, there), (there, here)):
        for _ in range(_TRIES):
            columns = merged_fields(one.log.columns, other.log.columns)
            if isinstance(columns, str):
                raise one.altered(f"its column {columns} has another type in {other.log.table}")
            if columns == one.log.columns:
                break
            fields = json.dumps({"type": "struct", "fields": columns})
            if one.log.commit("ADD COLUMN", [{"metaData": {**one.log.metadata, "schemaString": fields}}]):
                break
            one.follow()


def _replace(store: Store, log: TableLog, by: TableLog, number: int) -> None:
    """Replace the files of a table by links or copies of another's."""
    folder = f"promoted-{secrets.token_hex(6)}"
    renamed = {path: _renamed(path, folder) for path in by.files}
    store.copy([(f"{by.table}/{old}", f"{log.table}/{new}") for old, new in renamed.items()])
    for _ in range(_TRIES):
        now = now_ms()
        transaction = {"txn": {"appId": _APPLICATION, "version": number, "lastUpdated": now}}
        removes = [file.remove(now) for file in log.files.values()]
        adds = [replace(file, path=renamed[file.path]).add(now) for file in by.files.values()]
        if log.commit(PROMOTED, [transaction, *removes, *adds]):
            return
        if any(change.transactions.get(_APPLICATION, 0) >= number for change in log.refresh()):
            store.delete([f"{log.table}/{new}" for new in renamed.values()])
            return
    raise SinkUnavailableError(f"{store.url}: others write the table {log.table} all the time")


def _renamed(path: str, token: str) -> str:
    """Return another name for a file in the same folder; it does not grow from one promotion to the next."""
    folder, _, name = path.rpartition("/")
    plain = name.partition(".promoted-")[0].removesuffix(".zstd.parquet")[:180]
    return f"{folder}/{plain}.{token}-{secrets.token_hex(4)}.zstd.parquet"


def _version_before(log: TableLog, number: int) -> int:
    """Return the version of a table before it was promoted."""
    log.refresh()
    version = log.version or 0
    while version > 0:
        changes = log.changes_between(version - 1, version)
        if changes and changes[0].transactions.get(_APPLICATION) == number:
            return version - 1
        version -= 1
    raise SinkUnavailableError(f"the promotion {number} of the table {log.table} is not in its log any more")


def _packed(sources: Mapping[tuple[str, TopicPartition], Kept]) -> tuple[Any, ...]:
    return tuple([source, *partition, asdict(kept)] for (source, partition), kept in sources.items())


def _unpacked(packed: Iterable[Any]) -> dict[tuple[str, TopicPartition], Kept]:
    return {(source, TopicPartition(topic, number)): Kept(**kept) for source, topic, number, kept in packed}
