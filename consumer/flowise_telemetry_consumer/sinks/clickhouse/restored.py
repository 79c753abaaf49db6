"""A log that came out of a backup: ClickHouse numbers its inserts anew, and so their order is gone.

``BACKUP`` and ``RESTORE``, ``ATTACH`` and ``FREEZE`` bring parts back, whose rows then all have the number of their
part. What the log said can no longer be told from it, and the numbers that rows of events carry are those of batches to
come: rows would be hidden, written again, and shown twice later.
"""

from __future__ import annotations

import logging

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.claims import PROGRESS_TABLE
from flowise_telemetry_consumer.sinks.clickhouse.log import make_log
from flowise_telemetry_consumer.sinks.clickhouse.server import Server, name
from flowise_telemetry_consumer.sinks.clickhouse.tables import BATCH, columns_of, delete_batches, table_ids

__all__ = ["not_in_order", "put_in_order"]

logger = logging.getLogger("flowise_telemetry.consumer")


def put_in_order(server: Server) -> None:
    """Begin a new log, of which every row of an event that the old one did not annul is an old one.

    Progress is forgotten: a backup is not of one moment, and its log may tell of rows that its tables lack. Whoever
    reads the topic again finds each event that is there by its id. The old log is kept under another name. Safe to
    repeat, by several at once too.
    """
    old = table_ids(server)[PROGRESS_TABLE]
    tables = sorted(table for table, columns in columns_of(server).items() if BATCH in columns)
    annulled = _annulled(server)
    for table in tables:
        if annulled:
            delete_batches(server, table, annulled)
        server.execute(f"ALTER TABLE {name(table)} UPDATE {BATCH} = 0 WHERE {BATCH} > 0 SETTINGS mutations_sync = 2")
    kept = f"{PROGRESS_TABLE}_{old.replace('-', '')[:16]}"
    make_log(server, kept)
    if table_ids(server)[PROGRESS_TABLE] != old:
        return  # another one was quicker
    server.execute(f"EXCHANGE TABLES {name(PROGRESS_TABLE)} AND {name(kept)}")
    logger.warning(
        "%s was restored from a backup, which keeps no order of the log: it begins anew (the old one is table %s), and"
        " what the topic has is read again",
        server.address.shown,
        kept,
    )


def _annulled(server: Server) -> set[int]:
    """Return the batches that never were, by the times of the entries: the first of annul and end decides."""
    rows = server.rows(
        "SELECT batch, minIf(at, kind = 'annul'), countIf(kind != 'annul'), minIf(at, kind != 'annul'), max(as_of) "  # noqa: S608
        f"FROM {name(PROGRESS_TABLE)} WHERE kind IN ('annul', 'commit', 'promoted') GROUP BY batch "
        "HAVING countIf(kind = 'annul') > 0"
    )
    return {int(batch) for batch, annul, ends, end, as_of in rows if as_of or not ends or annul < end}


def not_in_order(server: Server) -> SinkError:
    """Return the error for whoever reads only."""
    return SinkError(
        f"{server.address.shown} was restored from a backup and is not in order yet: a consumer mends it when it starts"
    )
