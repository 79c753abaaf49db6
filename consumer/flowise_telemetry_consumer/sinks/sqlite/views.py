"""Views for analysts in an SQLite file. A view has no comment of its own there: it stands in the view's text."""

from __future__ import annotations

import sqlite3

from flowise_telemetry_consumer.sinks.sql_file.database import quoted
from flowise_telemetry_consumer.sinks.sqlite.tables import DAY, EVER
from flowise_telemetry_consumer.sinks.views import VIEWS, Dialect, Due

__all__ = ["DIALECT", "relations", "replace"]


DIALECT = Dialect(
    quoted=quoted,
    types={"text": "TEXT", "uuid": "TEXT", "integer": "INTEGER", "boolean": "INTEGER", "time": "TEXT"},
    cast="{value}",
    day=DAY.replace("occurred_at", "e.occurred_at"),
    ever=EVER,
    id_minimum="min(instance_id)",
    node_rows="{table} AS e, json_each({graph}, '$.nodes') AS n",
    node="n.value",
    edge_rows="{table} AS e, json_each({graph}, '$.edges') AS n",
    source="json_extract(n.value, '$.source')",
    target="json_extract(n.value, '$.target')",
    vendors="(SELECT column1 AS node_type, column2 AS vendor FROM (VALUES {rows})) AS {alias}",
)


def relations(db: sqlite3.Connection) -> dict[str, str]:
    """Return the text of each table and view that has the name of a view."""
    marks = ", ".join("?" * len(VIEWS))
    rows = db.execute(f"SELECT lower(name), sql FROM sqlite_master WHERE lower(name) IN ({marks})", tuple(VIEWS))  # noqa: S608
    return {name: (text or "").partition("*/")[0].partition("/* ")[2].removesuffix(" ") for name, text in rows}


def replace(db: sqlite3.Connection, due: Due) -> None:
    """Make a view anew, inside a transaction."""
    db.execute(f"DROP VIEW IF EXISTS {quoted(due.name)}")
    db.execute(f"CREATE VIEW {quoted(due.name)} AS /* {due.comment} */\n{due.query}")
