"""What of a table is read: its state at the end of the last batch that was written whole."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from flowise_telemetry_consumer.sinks.delta.event_table import EventTable
from flowise_telemetry_consumer.sinks.delta.log import PROMOTED, Change, TableLog, now_ms
from flowise_telemetry_consumer.sinks.delta.store import Store

__all__ = ["RETENTION_HOURS", "visible_tables", "visible_version", "warn_of_a_copy"]

RETENTION_HOURS = 168
"""How long files stay that the newest version does not name: readings and writes that take longer may fail."""

_MARGIN_MS = 86_400_000

_logger = logging.getLogger(__name__)


def visible_tables(
    store: Store, prefix: str, recorded: Mapping[str, int], events: Iterable[str]
) -> dict[str, EventTable]:
    """Return the tables that are there, each as of the last batch that ended; ``recorded`` are its versions."""
    tables = {event: _visible_table(store, prefix, recorded, event) for event in events}
    return {event: table for event, table in tables.items() if table is not None}


def _visible_table(store: Store, prefix: str, recorded: Mapping[str, int], event: str) -> EventTable | None:
    """Return a table as of the last batch that ended; None where there is none."""
    table = EventTable(store, prefix + event)
    if not table.load() or (recorded and event not in recorded and _is_beginning(table.log)):
        return None
    version = visible_version(table.log, recorded.get(event))
    if version != table.log.version:
        table.log.load(version)
    return table


def warn_of_a_copy(url: str, table: EventTable, recorded: int) -> None:
    """Warn where a table is of an older version than was recorded."""
    if table.log.version is not None and table.log.version < recorded:
        _logger.warning(
            "%s: the table %s is of version %d, and %d was recorded: it was restored from a copy; "
            "replay the topic to bring back what the copy lacks",
            *(url, table.log.table, table.log.version, recorded),
        )


def _is_beginning(log: TableLog) -> bool:
    """Tell of a table that is not recorded yet if it is being created, or filled by a promotion that has not ended."""
    changes = log.changes_between(0, log.version or 0) or ()
    return not log.files or any(change.operation == PROMOTED for change in changes)


def visible_version(log: TableLog, recorded: int | None) -> int | None:
    """Return the version that was recorded last, where after it are only commits of ours that were not recorded yet.

    Otherwise the newest one: others may alter the table (delete days, merge files), and that counts at once.
    """
    if log.version is None or recorded is None or recorded >= log.version:
        return log.version
    changes = log.changes_between(recorded, log.version)
    if changes is None or not all(change.is_ours or _alters_nothing(change) for change in changes):
        return log.version
    kept_ms = now_ms() - RETENTION_HOURS * 3_600_000 + _MARGIN_MS
    if any(change.operation == "OPTIMIZE" and change.at_ms < kept_ms for change in changes):
        # The files of before may be vacuumed by now.
        return log.version
    return recorded if any(change.moves_rows for change in changes) else log.version


def _alters_nothing(change: Change) -> bool:
    """Tell of a commit if it is a remark, such as those of delta-rs about a vacuum."""
    return not change.added and not change.removed and change.metadata is None
