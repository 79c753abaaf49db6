"""Removal of old events, a month at a time."""

from __future__ import annotations

from flowise_telemetry_consumer.sinks.clickhouse.server import Server, instant, name

__all__ = ["count_before", "months_before", "remove_month"]


def count_before(server: Server, table: str, before_ms: int, condition: str) -> int:
    """Return the number of events before a time, of those that fulfil the condition."""
    ((count,),) = server.rows(f"SELECT count() FROM {name(table)} WHERE {_older(before_ms)} AND {condition}")  # noqa: S608 - our table
    return int(count)


def months_before(server: Server, table: str, before_ms: int) -> list[int]:
    """Return the months (``YYYYMM``) that hold events before a time, oldest first."""
    month = "toYYYYMM(occurred_at)"
    rows = server.rows(f"SELECT DISTINCT {month} AS month FROM {name(table)} WHERE {_older(before_ms)} ORDER BY month")  # noqa: S608 - our table
    return [int(month) for (month,) in rows]


def remove_month(server: Server, table: str, month: int, before_ms: int, condition: str) -> int:
    """Remove the events of a month before a time; return how many of them fulfil the condition.

    A partition that holds nothing else goes whole.
    """
    its = f"FROM {name(table)} WHERE toYYYYMM(occurred_at) = {month:d}"
    ((count, others),) = server.rows(
        f"SELECT countIf({_older(before_ms)} AND {condition}), countIf(NOT {_older(before_ms)}) {its}"
    )
    if others:
        server.execute(f"DELETE {its} AND {_older(before_ms)}")
    else:
        server.execute(f"ALTER TABLE {name(table)} DROP PARTITION ID '{month:d}'")
    return int(count)


def _older(before_ms: int) -> str:
    return f"(occurred_at < {instant(before_ms)})"
