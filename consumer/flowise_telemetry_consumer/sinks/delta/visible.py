"""What of a table is read: its state at the end of the last batch that was written whole."""

from __future__ import annotations

import logging
import math

from flowise_telemetry_consumer.sinks.delta.event_table import EventTable
from flowise_telemetry_consumer.sinks.delta.log import PROMOTION, TableLog
from flowise_telemetry_consumer.sinks.delta.store import Store

__all__ = ["visible_table", "warn_of_a_copy"]

_logger = logging.getLogger(__name__)


def visible_table(store: Store, name: str, recorded: int | None, promoted: float) -> EventTable | None:
    """Return a table as of the last batch that ended, which recorded this version; None where there is none.

    ``promoted`` is the number of the last promotion that ended: what a later one brought is not shown. With both from
    one version of the progress table, all tables are of one side.
    """
    table = EventTable(store, name)
    if not table.load():
        return None
    version = _visible_version(table.log, recorded, promoted)
    if version is None:
        return None
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


def _visible_version(log: TableLog, recorded: int | None, promoted: float) -> int | None:
    """Return the version that was recorded last, where after it are only commits of ours that were not recorded yet.

    Otherwise the newest one before a promotion that has not ended: others may alter the table (delete days, merge
    files), and that counts at once. None for a table that such a promotion created.
    """
    newest = log.version or 0
    if recorded is not None and recorded >= newest:
        return newest
    changes = log.changes_between(recorded or 0, newest)
    if changes is None:
        return newest
    later = [number for number, change in enumerate(changes) if change.transactions.get(PROMOTION, 0) > promoted]
    if later:
        changes = changes[: later[0]]
        newest = (recorded or 0) + len(changes)
    if recorded is None:
        return None if later or not (log.files or promoted == math.inf) else newest
    if not all(change.is_ours for change in changes):
        return newest
    if any(change.operation == "OPTIMIZE" for change in changes):
        # The files of before may be vacuumed by now.
        return newest
    return recorded if any(change.moves_rows for change in changes) else newest
