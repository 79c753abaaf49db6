"""What an analyst has: a query, and the engine of the sink. No sink of ours is open for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
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
    """The rows of one query, as ``asking`` gives them."""
    with asking(url, schemas) as ask:
        return ask(statement)


def run(url: str, *statements: str) -> None:
    """Run statements of others."""
    with _engine(url, ()) as execute:
        for statement in statements:
            execute(statement)


@contextmanager
def asking(url: str, schemas: Sequence[EventSchema] = ()) -> Iterator[Callable[[str], Rows]]:
    """Connected to the engine: the rows of a query, with days, times and ids as text, and whole numbers as such.

    ``schemas`` are for a lake, whose views are made by who asks it.
    """
    with _engine(url, schemas) as execute:
        yield lambda statement: [tuple(map(_plain, row)) for row in execute(statement)]


@contextmanager
def _engine(url: str, schemas: Sequence[EventSchema]) -> Iterator[Callable[[str], Sequence[Sequence[Any]]]]:
    match urlsplit(url).scheme:
        case "sqlite":
            with closing(sqlite3.connect(file_of(url, "sqlite"), isolation_level=None)) as file:
                yield lambda statement: file.execute(statement).fetchall()
        case "duckdb" | "delta" as kind:
            path = str(file_of(url, kind))
            with closing(open_lake(url, schemas) if kind == "delta" else duckdb.connect(path)) as analytical:
                yield lambda statement: analytical.execute(statement).fetchall()
        case "postgresql":
            address, _, schema = url.partition("schema=")
            with psycopg.connect(address.rstrip("?&"), autocommit=True) as server:
                # Days are those of UTC whatever the session's zone is.
                server.execute(f"SET search_path TO {unquote(schema) or 'public'}; SET TIME ZONE 'Asia/Tokyo'".encode())
                yield partial(_in_postgres, server)
        case _:
            with closing(Server(address_of(url))) as clickhouse:
                yield partial(_in_clickhouse, clickhouse)


def _in_postgres(server: psycopg.Connection[Any], statement: str) -> Sequence[Sequence[Any]]:
    cursor = server.execute(statement.encode())
    return cursor.fetchall() if cursor.description else []


def _in_clickhouse(server: Server, statement: str) -> Sequence[Sequence[Any]]:
    if statement.startswith(("SELECT", "WITH")):
        return server.rows(statement)
    server.execute(statement)
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
