"""The log of one Delta table: its state at a version, and commits on top.

The protocol (github.com/delta-io/delta, PROTOCOL.md, "Delta Log Entries") makes a commit one file of JSON lines under
the next version's name, which must not be there yet. ``deltalake`` opens tables and writes checkpoints; commits we put
there ourselves (docs/adr/0017): one at exactly the version after the state that was looked at, or none.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from flowise_telemetry_consumer.errors import SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.delta.data_file import STATISTICS_TIME, DataFile, data_file_of
from flowise_telemetry_consumer.sinks.delta.files import Files
from flowise_telemetry_consumer.sinks.delta.store import Store

__all__ = ["CHECKPOINT_COMMITS", "ENGINE", "PROMOTED", "Change", "TableLog", "now_ms"]

CHECKPOINT_COMMITS = 100
"""After so many commits a checkpoint sums the log up, so that opening a table reads no more than these."""

ENGINE = "flowise-telemetry"
"""What commits of ours name as their engine."""

PROMOTED = "PROMOTE"
"""The operation of a commit that exchanged the rows of a table."""

_logger = logging.getLogger(__name__)

# What a table may have for us to write to it; delta-rs and Spark set these on plain tables.
_FEATURES = frozenset({"appendOnly", "invariants", "timestampNtz", "checkConstraints", "generatedColumns"})
_TIME = pl.Datetime("us", "UTC")
_PROPERTIES = {
    "delta.checkpointInterval": str(CHECKPOINT_COMMITS),
    "delta.logRetentionDuration": "interval 7 days",
    "delta.dataSkippingStatsColumns": "event_id,occurred_at",
}


@dataclass(slots=True)
class Change:
    """What one commit changed. ``is_ours`` where a sink of ours made it; ``removed`` in the order of the log."""

    version: int
    is_ours: bool = False
    operation: str = ""
    at_ms: int = 0
    moves_rows: bool = False
    added: list[DataFile] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    transactions: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, Any] | None = None


class TableLog:
    """A table as of ``version``; None before it is loaded or created."""

    def __init__(self, store: Store, table: str) -> None:
        self.table = table
        self.version: int | None = None
        self.files = Files()
        self.metadata: dict[str, Any] = {}
        self._store = store
        self._prefix = f"{table}/_delta_log"

    @property
    def columns(self) -> list[Any]:
        """The columns as the log spells them."""
        fields: list[Any] = json.loads(self.metadata["schemaString"])["fields"]
        return fields

    def load(self, version: int | None = None) -> bool:
        """Read the state of a version, or the newest one; return False where there is no table."""
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        try:
            opened = DeltaTable(
                self._store.location(self.table), version=version, storage_options=dict(self._store.options) or None
            )
        except TableNotFoundError:
            return False
        self._require_plain(opened.protocol())
        told = opened.metadata()
        self.metadata = {
            "id": str(told.id),
            **({"name": told.name} if told.name else {}),
            **({"description": told.description} if told.description else {}),
            "format": {"provider": "parquet", "options": {}},
            "schemaString": opened.schema().to_json(),
            "partitionColumns": told.partition_columns,
            "configuration": dict(told.configuration),
            "createdTime": told.created_time,
        }
        self.files = _files_of(opened)
        self.version = opened.version()
        return True

    def create(self, columns: Sequence[Any], partition_by: Sequence[str]) -> bool:
        """Create the table, empty; return False where it is there already."""
        self.metadata = {
            "id": str(uuid.uuid4()),
            "format": {"provider": "parquet", "options": {}},
            "schemaString": json.dumps({"type": "struct", "fields": list(columns)}),
            "partitionColumns": list(partition_by),
            "configuration": dict(_PROPERTIES),
            "createdTime": now_ms(),
        }
        protocol = {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}
        actions = [_commit_info("CREATE TABLE"), protocol, {"metaData": self.metadata}]
        if not self._store.create(self._path(0), _lines(actions)):
            return False
        self.version, self.files = 0, Files()
        return True

    def transaction(self, application: str) -> int | None:
        """Return the version that an application recorded last in this table."""
        from deltalake import DeltaTable

        opened = DeltaTable(self._store.location(self.table), storage_options=dict(self._store.options) or None)
        return opened.transaction_version(application)

    def refresh(self, follow: Callable[[Change], None] = lambda change: None) -> list[Change]:
        """Read the commits since; return what they changed.

        Reading may fail after some of them were applied, and they are not returned again: who keeps more than this
        state gives ``follow``, which is called for each before it is applied.
        """
        if self.version is None:
            return []
        changes = []
        while (data := self._store.read(self._path(self.version + 1))) is not None:
            change = self._change(self.version + 1, data)
            follow(change)
            self._apply(change)
            changes.append(change)
        return changes

    def changes_between(self, after: int, last: int) -> list[Change] | None:
        """Return the changes of versions ``after`` + 1 to ``last``; None where the log does not go back that far."""
        changes = []
        for version in range(after + 1, last + 1):
            data = self._store.read(self._path(version))
            if data is None:
                return None
            changes.append(self._change(version, data))
        return changes

    def commit(self, operation: str, actions: Iterable[Mapping[str, Any]]) -> bool:
        """Add a commit right after this version; return False, and nothing is changed, where another came first.

        Raises ``SinkUnavailableError`` where the table is not the one any more that was loaded.
        """
        if self.version is None or not self._store.exists(self._path(self.version)):
            self.version = None
            raise SinkUnavailableError(
                f"{self._store.url}: the table {self.table} was moved or removed while it was open"
            )
        data = _lines([_commit_info(operation), *actions])
        if not self._store.create(self._path(self.version + 1), data):
            return False
        self._apply(self._change(self.version + 1, data))
        if self.version % CHECKPOINT_COMMITS == 0:
            self._checkpoint()
        return True

    def _checkpoint(self) -> None:
        from deltalake import DeltaTable

        # The commit is there; without this checkpoint the log is read from the one before.
        try:
            opened = DeltaTable(self._store.location(self.table), storage_options=dict(self._store.options) or None)
            opened.create_checkpoint()
            self._store.sync(self._prefix)
            opened.cleanup_metadata()
        except Exception as error:
            _logger.warning(
                "%s: no checkpoint of the table %s (%s); the next is due in %d commits",
                *(self._store.url, self.table, type(error).__name__, CHECKPOINT_COMMITS),
            )

    def _path(self, version: int) -> str:
        return f"{self._prefix}/{version:020}.json"

    def _apply(self, change: Change) -> None:
        for path in change.removed:
            self.files.discard(path)
        for file in change.added:
            self.files.add(file)
        if change.metadata is not None:
            self.metadata = change.metadata
        self.version = change.version

    def _change(self, version: int, data: bytes) -> Change:
        change = Change(version)
        try:
            actions = [json.loads(line) for line in data.splitlines() if line.strip()]
        except ValueError:
            actions = []
        if not actions:
            raise SinkError(
                f"{self._store.url}: the commit {version} of the table {self.table} is cut off: remove "
                f"{self._path(version)}, and whoever wrote it writes it again"
            )
        for action in actions:
            self._read_action(change, action)
        return change

    def _read_action(self, change: Change, action: Mapping[str, Any]) -> None:
        if add := action.get("add"):
            if add.get("deletionVector"):
                raise self._altered("it has deletion vectors")
            change.added.append(data_file_of(add))
            change.moves_rows |= add.get("dataChange", True)
        elif remove := action.get("remove"):
            change.removed.append(DataFile.of(remove["path"]).path)
            change.moves_rows |= remove.get("dataChange", True)
        elif info := action.get("commitInfo"):
            change.is_ours = str(info.get("engineInfo", "")).startswith(ENGINE)
            change.operation = str(info.get("operation", ""))
            change.at_ms = int(info.get("timestamp") or 0)
        elif transaction := action.get("txn"):
            change.transactions[transaction["appId"]] = transaction["version"]
        elif metadata := action.get("metaData"):
            change.metadata = metadata
        elif protocol := action.get("protocol"):
            self._require_features(
                protocol["minWriterVersion"], protocol.get("writerFeatures"), protocol.get("readerFeatures")
            )

    def _require_plain(self, protocol: Any) -> None:
        self._require_features(protocol.min_writer_version, protocol.writer_features, protocol.reader_features)

    def _require_features(
        self, writer_version: int, writer: Sequence[str] | None, reader: Sequence[str] | None
    ) -> None:
        foreign = sorted({*(writer or ()), *(reader or ())} - _FEATURES)
        if foreign or (writer_version > 3 and writer is None):
            raise self._altered(f"it needs {', '.join(foreign) or f'writer version {writer_version}'}")

    def _altered(self, what: str) -> SinkError:
        return SinkError(
            f"{self._store.url}: the table {self.table} was altered by others: {what}; copy its rows into a new lake"
        )


def now_ms() -> int:
    """Return the time, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _commit_info(operation: str) -> dict[str, Any]:
    append = {"mode": "Append", "partitionBy": '["date"]'} if operation == "WRITE" else {}
    return {
        "commitInfo": {
            "timestamp": now_ms(),
            "operation": operation,
            "operationParameters": append,
            "isBlindAppend": operation == "WRITE",
            "engineInfo": ENGINE,
        }
    }


def _lines(actions: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(f"{json.dumps(action, separators=(',', ':'))}\n" for action in actions).encode()


def _files_of(opened: Any) -> Files:
    actions = pl.DataFrame(opened.get_add_actions(flatten=True))
    wanted = {"path": pl.String(), "partition.date": pl.Date(), "size_bytes": pl.Int64(), "num_records": pl.Int64()}
    ends = {
        "min.event_id": pl.String(),
        "max.event_id": pl.String(),
        "min.occurred_at": _TIME,
        "max.occurred_at": _TIME,
    }
    missing = [
        pl.lit(None, dtype).alias(name) for name, dtype in (wanted | ends).items() if name not in actions.columns
    ]
    columns = actions.with_columns(missing).select(
        *wanted,
        "min.event_id",
        "max.event_id",
        pl.col("min.occurred_at", "max.occurred_at").cast(pl.Datetime("ms", "UTC")).dt.strftime(STATISTICS_TIME),
    )
    return Files(
        DataFile.of(path, date=date, size_bytes=size, rows=rows, ids=(least, greatest), times=(earliest, latest))
        for path, date, size, rows, least, greatest, earliest, latest in columns.iter_rows()
    )
