"""The account of rows that were written before there was one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from flowise_telemetry_consumer.sinks.account.tables import dropped_columns
from flowise_telemetry_schemas.envelope import STREAM_STATE

__all__ = ["seed_statements"]


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
