"""Sums in the database itself: of rows from before there was an account, and of the account's rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from flowise_telemetry_consumer.sinks.account.tables import STREAMS_TABLE, account_schema, dropped_columns
from flowise_telemetry_schemas.envelope import STREAM_STATE

__all__ = ["merged_columns", "merged_select", "seed_statements"]


def seed_statements(
    into: str,
    tables: Iterable[tuple[str, str]],
    *,
    day: str,
    ever: str,
    held: Callable[[str], frozenset[str]],
    instance: str = "min(instance_id)",
) -> Iterator[str]:
    """Yield the statements that sum existing tables up, given as event and quoted name.

    ``day`` is the SQL of a row's day in UTC, ``ever`` the aggregate of a boolean, ``instance`` that of an id, ``held``
    the columns of an event.
    """
    for event, table in tables:
        sums = "max(sequence), count(*)"
        columns = "highest, added"
        if event == STREAM_STATE:
            drops = [column for column in dropped_columns() if column in held(event)]
            columns = ", ".join(["numbered", "settled", *drops, "ended"])
            told = [f"max({column})" for column in drops]
            sums = ", ".join(["max(numbered)", "max(numbered - waiting)", *told, f"{ever}(ended)"])
        yield (
            f"INSERT INTO {into} (stream_id, instance_id, first_at, occurred_at, {columns}) "  # noqa: S608 - names of schemas
            f"SELECT stream_id, {instance}, min(occurred_at), max(occurred_at), {sums} "
            f"FROM {table} GROUP BY stream_id, {day}"
        )


def merged_columns() -> str:
    """Return the columns of the streams' account, in the order of ``merged_select``."""
    return ", ".join(field.column for field in account_schema(STREAMS_TABLE).fields)


def merged_select(rows: str, *, day: str, ever: str, instance: str = "min(instance_id)") -> str:
    """Return the query of one row for each stream and day of these; otherwise as ``seed_statements``."""
    sums = {
        "stream_id": "stream_id",
        "instance_id": instance,
        "first_at": "min(first_at)",
        "added": "CAST(sum(added) AS bigint)",
        "ended": f"{ever}(ended)",
    }
    columns = [field.column for field in account_schema(STREAMS_TABLE).fields]
    # Without names for the sums: where they have some, DuckDB groups by those.
    selected = ", ".join(sums.get(column, f"max({column})") for column in columns)
    return f"SELECT {selected} FROM {rows} GROUP BY stream_id, {day}"  # noqa: S608 - names of schemas
