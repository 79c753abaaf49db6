"""What an analyst has: a query, and the engine of the sink. No sink of ours is open for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import duckdb
import psycopg

from flowise_telemetry_consumer.sinks.clickhouse.address import address_of
from flowise_telemetry_consumer.sinks.clickhouse.server import Server
from flowise_telemetry_consumer.sinks.duckdb.lake import open_lake
from flowise_telemetry_consumer.sinks.local_files import file_of
from flowise_telemetry_schemas import EventSchema

Rows = list[tuple[Any, ...]]


def rows(url: str, statement: str, schemas: Sequence[EventSchema] = ()) -> Rows:
    """The rows of a query, with days, times and ids as text, and whole numbers as such.

    ``schemas`` are for a lake, whose views are made by who asks it.
    """
    return [tuple(map(_plain, row)) for row in _rows(url, statement, schemas)]


def run(url: str, *statements: str) -> None:
    """Run statements of others."""
    for statement in statements:
        _rows(url, statement, ())


def _rows(url: str, statement: str, schemas: Sequence[EventSchema]) -> Sequence[Sequence[Any]]:
    match urlsplit(url).scheme:
        case "sqlite":
            with closing(sqlite3.connect(file_of(url, "sqlite"), isolation_level=None)) as file:
                return file.execute(statement).fetchall()
        case "duckdb":
            with closing(duckdb.connect(str(file_of(url, "duckdb")))) as file_too:
                return file_too.execute(statement).fetchall()
        case "delta":
            with closing(open_lake(url, schemas)) as lake:
                return lake.execute(statement).fetchall()
        case "postgresql":
            address, _, schema = url.partition("schema=")
            with psycopg.connect(address.rstrip("?&"), autocommit=True) as server:
                # Days are those of UTC whatever the session's zone is.
                server.execute(f"SET search_path TO {unquote(schema) or 'public'}; SET TIME ZONE 'Asia/Tokyo'".encode())
                cursor = server.execute(statement.encode())
                return cursor.fetchall() if cursor.description else []
        case _:
            with closing(Server(address_of(url))) as clickhouse:
                if statement.startswith("SELECT") or statement.startswith("WITH"):
                    return clickhouse.rows(statement)
                clickhouse.execute(statement)
                return []


def _plain(value: Any) -> Any:
    match value:
        case bool():
            return int(value)
        case datetime():
            its = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
            return its.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case UUID():
            return str(value)
        case Decimal() | float():
            return int(value) if value == int(value) else round(float(value), 6)
        case _:
            return value
