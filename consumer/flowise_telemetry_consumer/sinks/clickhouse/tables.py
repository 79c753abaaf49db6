"""Tables of events in ClickHouse and the statements that use them. Identifiers come from schemas, never from values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

import polars as pl

from flowise_telemetry_consumer.decoding.frames import polars_schema
from flowise_telemetry_consumer.errors import SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.claims import PROGRESS_TABLE
from flowise_telemetry_consumer.sinks.clickhouse.server import Server, instant, literal, name, text
from flowise_telemetry_consumer.sinks.event_ids import id_ranges
from flowise_telemetry_consumer.sinks.rows import NESTED_KINDS, default_in_row, require_columns
from flowise_telemetry_schemas import EventSchema, Field

__all__ = [
    "BATCH",
    "columns_of",
    "delete_batches",
    "ids_from",
    "known_ids",
    "make_table",
    "pages_of",
    "require_order",
    "require_table",
    "table_ids",
    "visible",
]

BATCH = "telemetry_batch"
"""Column with the number of the batch that brought a row: a place in the log (``clickhouse.log``)."""

_TYPES = {
    "string": "String",
    "enum": "LowCardinality(String)",
    "uuid": "UUID",
    "int": "Int32",
    "long": "Int64",
    "boolean": "Bool",
    "timestamp": "DateTime64(3, 'UTC')",
}
_FETCHED_IDS = 200_000
"""Ids that are fetched and compared here. Where a table has more among those of a batch, it is sent the batch's."""

_SENT_IDS = 20_000
_MAX_QUERY_BYTES = 40 * _SENT_IDS + 65_536


def make_table(server: Server, table: str, schema: EventSchema, held: frozenset[str]) -> None:
    """Create the table of an event, or add its missing columns.

    ``toUInt128`` because ClickHouse compares UUIDs by their second half first: an index of theirs would not know that
    UUIDv7 grow with time.
    """
    if not held:
        declared = ", ".join(_declaration(field) for field in schema.fields)
        server.execute(
            f"CREATE TABLE IF NOT EXISTS {name(table)} ({declared}, {BATCH} UInt64, "
            f"INDEX {BATCH}_ids toUInt128(event_id) TYPE minmax GRANULARITY 1, "
            f"INDEX {BATCH}_batches {BATCH} TYPE minmax GRANULARITY 1) "
            "ENGINE = MergeTree PARTITION BY toYYYYMM(occurred_at) ORDER BY (occurred_at, event_id) "
            "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 1000"
        )
        return
    for field in schema.fields:
        if field.column not in held:
            server.execute(f"ALTER TABLE {name(table)} ADD COLUMN IF NOT EXISTS {_declaration(field)}")


def require_order(server: Server, url: str) -> None:
    """Raise ``SinkError`` where inserts into the log have no order: on several servers."""
    there = f"database = {text(server.address.database)} AND name = {text(PROGRESS_TABLE)}"
    engines = server.rows(f"SELECT engine FROM system.tables WHERE {there}")  # noqa: S608 - quoted
    if engines != [("MergeTree",)]:
        said = ", ".join(engine for (engine,) in engines) or "hidden from this login"
        raise SinkError(
            f"{url}: the engine of {PROGRESS_TABLE} is {said}, and only the MergeTree of one server has one order of "
            "inserts: name a database on a single server"
        )


def require_table(url: str, table: str, schema: EventSchema, held: frozenset[str]) -> None:
    """Raise ``SinkError`` unless a table is there, for this login too, with every column of the schema."""
    if not held:
        # The server names no table to a login without a right to it.
        raise SinkError(
            f"{url} has no table {table} that this login may read: a consumer creates it when it starts, and whoever "
            "reads it needs the grant SELECT",
            event=schema.event,
        )
    require_columns(url, table, schema, held)


def columns_of(server: Server) -> dict[str, frozenset[str]]:
    """Return the columns of each table of the database that this login may use."""
    held: dict[str, set[str]] = {}
    database = text(server.address.database)
    for table, column in server.rows(f"SELECT table, name FROM system.columns WHERE database = {database}"):  # noqa: S608 - quoted
        held.setdefault(table, set()).add(column)
    return {table: frozenset(columns) for table, columns in held.items()}


def table_ids(server: Server) -> dict[str, str]:
    """Return the id of each table, which it keeps when its name is exchanged."""
    database = text(server.address.database)
    return dict(server.rows(f"SELECT name, toString(uuid) FROM system.tables WHERE database = {database}"))  # noqa: S608 - quoted


def visible(settled: int, annulled: Iterable[int]) -> str:
    """Return the condition for the rows of whole batches."""
    hidden = ", ".join(str(int(batch)) for batch in sorted(annulled))
    return f"{BATCH} <= {int(settled)}" + (f" AND {BATCH} NOT IN ({hidden})" if hidden else "")


def delete_batches(server: Server, table: str, batches: Iterable[int]) -> None:
    """Delete the rows of these batches, if there are any."""
    numbers = ", ".join(str(int(number)) for number in sorted(batches))
    its = f"FROM {name(table)} WHERE {BATCH} IN ({numbers})"
    if server.rows(f"SELECT 1 {its} LIMIT 1"):
        server.execute(f"DELETE {its}")


def known_ids(server: Server, event_ids: Mapping[str, pl.Series], condition: str) -> dict[str, pl.Series]:
    """Return those of the ids that each table has in rows that fulfil the condition, as 16 bytes."""
    near = {table: _near(ids) for table, ids in event_ids.items() if len(ids)}
    if not near:
        return {}
    # One question for all tables: most batches are newer than all rows.
    counted = server.rows(
        " UNION ALL ".join(
            f"SELECT {text(table)}, count() FROM {name(table)} WHERE ({there}) AND {condition}"  # noqa: S608 - our table
            for table, there in near.items()
        ),
        quick=True,
    )
    known: dict[str, pl.Series] = {}
    for table, rows in counted:
        if not rows:
            continue
        question = f"SELECT event_id FROM {name(table)} WHERE ({near[table]}) AND {condition}"  # noqa: S608 - our table
        if rows <= _FETCHED_IDS:
            known[table] = server.frame(question)["event_id"]
            continue
        known[table] = pl.Series("event_id", [], pl.Binary())
        for part in event_ids[table].sort().to_frame().iter_slices(_SENT_IDS):
            sent = text(",".join(part.to_series()))
            found = server.frame(
                f"{question} AND event_id IN (SELECT toUUID(arrayJoin(splitByChar(',', {sent}))))",
                max_query_bytes=_MAX_QUERY_BYTES,
            )
            if found.height:
                known[table].append(found["event_id"])
    return known


def ids_from(server: Server, table: str, lowest: bytes, condition: str, *, limit: int) -> pl.Series | None:
    """Return the ids, as 16 bytes, from the lowest on; None if there are more than the limit."""
    found = server.frame(
        # As text: a number of this size would be read as a float.
        f"SELECT event_id FROM {name(table)} WHERE toUInt128(event_id) >= toUInt128('{int.from_bytes(lowest)}') "  # noqa: S608 - our table
        f"AND {condition} LIMIT {limit + 1:d}"
    )
    if not found.width:
        return pl.Series("event_id", [], pl.Binary())
    return found["event_id"] if found.height <= limit else None


def pages_of(
    server: Server, table: str, schema: EventSchema, condition: str, *, rows: int, url: str
) -> Iterator[pl.DataFrame]:
    """Yield the rows that fulfil a condition, in the order of the table, whatever a promotion calls it meanwhile."""
    table_id = table_ids(server)[table]
    after: tuple[int, str] | None = None
    while True:
        names = {table_id: name for name, table_id in table_ids(server).items()}
        if table_id not in names:
            said = f"{url}: the table {table} was dropped while it was read"
            raise SinkUnavailableError(said, event=schema.event)
        frame = _page_of(server, names[table_id], schema, condition=condition, after=after, rows=rows)
        if frame.height:
            yield frame
        if frame.height < rows:
            return
        last = frame.select(pl.col("occurred_at").dt.epoch("ms"), "event_id").row(-1)
        after = (last[0], last[1])


def _page_of(
    server: Server, table: str, schema: EventSchema, *, condition: str, after: tuple[int, str] | None, rows: int
) -> pl.DataFrame:
    """Return the next rows after a time (in milliseconds) and id, in the order of the table."""
    beyond = ""
    if after is not None:
        ms, event_id = after
        time = instant(ms)
        beyond = f" AND occurred_at >= {time} AND (occurred_at > {time} OR event_id > toUUID({text(event_id)}))"
    names = ", ".join(
        f"toString({name(field.column)}) AS {name('_' + field.column)}" if field.kind == "uuid" else name(field.column)
        for field in schema.fields
    )
    frame = server.frame(
        f"SELECT {names} FROM {name(table)} WHERE {condition}{beyond} "  # noqa: S608 - names of the schema
        f"ORDER BY occurred_at, event_id LIMIT {rows:d}"
    )
    wanted = polars_schema(schema)
    if not frame.height:
        return pl.DataFrame(schema=wanted)
    return frame.rename(lambda column: column.removeprefix("_")).select(
        pl.col(field.column).cast(wanted[field.column]) for field in schema.fields
    )


def _near(event_ids: pl.Series) -> str:
    return " OR ".join(
        f"toUInt128(event_id) BETWEEN toUInt128(toUUID({text(first)})) AND toUInt128(toUUID({text(last)}))"
        for first, last in id_ranges(event_ids)
    )


def _declaration(field: Field) -> str:
    declared = f"{name(field.column)} {_type(field)}"
    default = default_in_row(field)
    if default is not None:
        value = json.loads(str(default)) if field.kind in NESTED_KINDS else default
        declared += f" DEFAULT CAST({literal(value)} AS {_type(field)})"
    return f"{declared} COMMENT {text(field.doc)}"


def _type(field: Field, *, inner: bool = False) -> str:
    if field.kind == "record":
        return f"Tuple({', '.join(f'{name(part.column)} {_type(part, inner=True)}' for part in field.fields)})"
    if field.kind == "array" and field.items is not None:
        return f"Array({_type(field.items, inner=True)})"
    if inner and field.kind == "uuid":
        return "String"
    if not field.nullable:
        return _TYPES[field.kind]
    return "LowCardinality(Nullable(String))" if field.kind == "enum" else f"Nullable({_TYPES[field.kind]})"
