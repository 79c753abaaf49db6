"""What of a table is read: its state at the end of the last batch that was written whole."""

from __future__ import annotations

from flowise_telemetry_consumer.sinks.delta.event_table import EventTable
from flowise_telemetry_consumer.sinks.delta.log import TableLog
from flowise_telemetry_consumer.sinks.delta.store import Store

__all__ = ["visible_table"]


def visible_table(store: Store, name: str, recorded: int | None) -> EventTable | None:
    """Return a table as of the last batch that ended, which ``recorded`` its version; None where there is none."""
    table = EventTable(store, name)
    if not table.load():
        return None
    version = _visible_version(table.log, recorded)
    if version != table.log.version:
        table.log.load(version)
    return table


def _visible_version(log: TableLog, recorded: int | None) -> int | None:
    """Return the version that was recorded last, where after it are only commits of ours that were not recorded yet.

    Otherwise the newest one: others may alter the table (delete days, merge files), and that counts at once.
    """
    if log.version is None or recorded is None or recorded >= log.version:
        return log.version
    changes = log.changes_between(recorded, log.version)
    if changes is None or not all(change.is_ours for change in changes):
        return log.version
    if any(change.operation == "OPTIMIZE" for change in changes):
        # The files of before may be vacuumed by now.
        return log.version
    return recorded if any(change.moves_rows for change in changes) else log.version
