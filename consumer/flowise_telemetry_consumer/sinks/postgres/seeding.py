"""The account of rows from before there was one: summed up in pieces, each a transaction, by one or in turn.

The sums go into a table of their own, whose comment says how far they are; at the end it takes the account's name.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from flowise_telemetry_consumer.sinks.account.seeding import seed_statements
from flowise_telemetry_consumer.sinks.account.tables import STREAMS_TABLE, account_schema
from flowise_telemetry_consumer.sinks.postgres.erasing import hold_erasures
from flowise_telemetry_consumer.sinks.postgres.tables import (
    DAY,
    INSTANCE,
    PREPARE_LOCK,
    SEEDING_TABLE,
    columns_of,
    create_table,
)
from flowise_telemetry_schemas import catalog

if TYPE_CHECKING:
    from psycopg import Connection

    from flowise_telemetry_consumer.sinks.postgres.address import Address

__all__ = ["PIECE_BLOCKS", "seed_account"]

logger = logging.getLogger("flowise_telemetry.consumer")

PIECE_BLOCKS = 16_384
"""Blocks of a table, of 8 KiB, that one transaction sums up: about a second, or some from a slow disk."""

_Step = Callable[[], AbstractContextManager[None]]


def seed_account(
    connection: Connection[Any], address: Address, step: _Step, *, piece_blocks: int = PIECE_BLOCKS
) -> None:
    """Sum up all rows of a schema that has no account yet; do nothing where it has one, or no tables of events.

    ``step`` begins a transaction with its limits. After a stop, the next call goes on; two at once take turns.
    """
    if columns_of(connection, address.schema, STREAMS_TABLE):
        return
    begun = False
    while True:
        with step():
            done, left = _advance(connection, address, piece_blocks)
        if not left and not begun:
            return
        if not begun:
            begun = True
            logger.warning(
                "%s: summing up the events that are there for the account of streams, once after this upgrade: %d MB,"
                " about half a minute for each 5,000; a stop loses nothing",
                address.shown,
                (done + left) * 8 // 1024,
            )
        if not left:
            logger.warning("%s: the account of streams is complete", address.shown)
            return


def _advance(connection: Connection[Any], address: Address, piece_blocks: int) -> tuple[int, int]:
    """Sum up one piece; return the blocks that are done, of the table at hand, and those that are left in all."""
    from psycopg.sql import SQL, Identifier

    schema_name = address.schema
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (PREPARE_LOCK,))
    if columns_of(connection, schema_name, STREAMS_TABLE):
        return 0, 0
    hold_erasures(connection, address.home)
    blocks = _blocks_of(connection, schema_name)
    if not blocks:
        return 0, 0
    seeding = Identifier(schema_name, SEEDING_TABLE)
    places = _places(connection, schema_name)
    files = {event: name for event, (_, name) in blocks.items()}
    if places is None or any(files.get(event) != name for event, name in places["files"].items()):
        # Nothing is summed up yet; or a table was written anew since (VACUUM FULL), and places in it mean other rows.
        connection.execute(SQL("DROP TABLE IF EXISTS {}").format(seeding))
        create_table(connection, schema_name, account_schema(STREAMS_TABLE), name=SEEDING_TABLE)
        places = {"files": files, "done": dict.fromkeys(files, 0)}
    done: dict[str, int] = places["done"]
    left = {event: size - done[event] for event, (size, _) in blocks.items() if event in done and size > done[event]}
    if not left:
        connection.execute(SQL("COMMENT ON TABLE {} IS NULL").format(seeding))
        connection.execute(SQL("ALTER TABLE {} RENAME TO {}").format(seeding, Identifier(STREAMS_TABLE)))
        return 0, 0
    event = min(left)
    upto = done[event] + min(piece_blocks, left[event])
    _sum_up(connection, schema_name, event, done[event], upto)
    done[event] = upto
    _keep_places(connection, schema_name, places)
    return sum(done.values()), max(1, sum(left.values()) - piece_blocks)


def _sum_up(connection: Connection[Any], schema_name: str, event: str, first: int, upto: int) -> None:
    """Sum up the rows in these blocks of a table, of each of its partitions."""
    from psycopg.sql import SQL, Identifier

    table = Identifier(schema_name, event).as_string(connection)
    rows = f"(SELECT * FROM {table} WHERE ctid >= '({first},0)' AND ctid < '({upto},0)') AS piece"  # noqa: S608 - numbers
    into = Identifier(schema_name, SEEDING_TABLE).as_string(connection)
    for statement in seed_statements(
        into,
        [(event, rows)],
        day=DAY,
        ever="bool_or",
        instance=INSTANCE,
        held=lambda its: columns_of(connection, schema_name, its),
    ):
        connection.execute(SQL(statement))


def _blocks_of(connection: Connection[Any], schema_name: str) -> dict[str, tuple[int, str]]:
    """Return the blocks of each table of events, of its largest partition, and the names of its files."""
    rows = connection.execute(
        "SELECT c.relname, max(pg_relation_size(part.id) / current_setting('block_size')::bigint), "
        "string_agg(coalesce(pg_relation_filenode(part.id)::text, '-'), ' ' ORDER BY part.id) "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        # The tree of a table without partitions is empty.
        "LEFT JOIN LATERAL pg_partition_tree(c.oid) AS tree ON true "
        "CROSS JOIN LATERAL (SELECT coalesce(tree.relid, c.oid) AS id) AS part "
        "WHERE n.nspname = %s AND c.relname = ANY(%s) AND c.relkind IN ('r', 'p') GROUP BY c.relname",
        (schema_name, sorted(catalog().names)),
    ).fetchall()
    return {event: (int(blocks), files) for event, blocks, files in rows}


def _places(connection: Connection[Any], schema_name: str) -> dict[str, Any] | None:
    """Return what is summed up, as it was kept; None where nothing is."""
    row = connection.execute(
        "SELECT obj_description(c.oid, 'pg_class') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND c.relname = %s",
        (schema_name, SEEDING_TABLE),
    ).fetchone()
    places: dict[str, Any] | None = json.loads(row[0]) if row and row[0] else None
    return places


def _keep_places(connection: Connection[Any], schema_name: str, places: dict[str, Any]) -> None:
    from psycopg.sql import SQL, Identifier, Literal

    comment = SQL("COMMENT ON TABLE {} IS {}").format(
        Identifier(schema_name, SEEDING_TABLE), Literal(json.dumps(places))
    )
    connection.execute(comment)
