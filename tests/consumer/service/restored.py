"""Sinks that can be set back to an earlier state, as a restored copy or a failover does."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from flowise_telemetry_consumer.sinks.clickhouse.address import address_of
from flowise_telemetry_consumer.sinks.clickhouse.server import Server

__all__ = ["KINDS", "copy_of", "drop"]

KINDS = ("sqlite", "duckdb", "delta", "postgresql", "clickhouse")


def copy_of(url: str) -> Callable[[], None]:
    """Copy a sink that nobody has open; return what sets it back to the copy."""
    if url.startswith("postgresql"):
        return _database_copy(url)
    if url.startswith("clickhouse"):
        return _clickhouse_copy(url)
    path = Path(url.partition(":///")[2])
    copy = path.with_name(f"{path.name}.copy")
    if url.startswith("delta"):
        shutil.copytree(path, copy)
    elif url.startswith("sqlite"):
        with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(copy)) as old:
            live.backup(old)
    else:
        shutil.copyfile(path, copy)

    def restore() -> None:
        drop(url)
        copy.rename(path)

    return restore


def drop(url: str) -> None:
    """Remove all that a sink has."""
    if url.startswith("postgresql"):
        with closing(_admin(url)) as server:
            server.execute(f'DROP DATABASE "{_name(url)}" WITH (FORCE)')
            server.execute(f'CREATE DATABASE "{_name(url)}"')
        return
    if url.startswith("clickhouse"):
        with _clickhouse(url) as server:
            server.execute(f"DROP DATABASE {server.address.database} SYNC")
        return
    path = Path(url.partition(":///")[2])
    if path.is_dir():
        shutil.rmtree(path)
    for file in path.parent.glob(f"{path.name}*"):
        if file.is_file() and not file.name.endswith(".copy"):
            file.unlink()


def _database_copy(url: str) -> Callable[[], None]:
    live, old = _name(url), f"{_name(url)}_old"
    with closing(_admin(url)) as server:
        server.execute(f'CREATE DATABASE "{old}" TEMPLATE "{live}"')

    def restore() -> None:
        with closing(_admin(url)) as server:
            server.execute(f'DROP DATABASE "{live}" WITH (FORCE)')
            server.execute(f'ALTER DATABASE "{old}" RENAME TO "{live}"')

    return restore


def _clickhouse_copy(url: str) -> Callable[[], None]:
    """By a backup, after its log was merged: the numbers of its inserts are gone."""
    with _clickhouse(url) as server:
        live = server.address.database
        tables = _tables(server)
        server.execute("OPTIMIZE TABLE flowise_telemetry_progress FINAL")
        server.execute(f"BACKUP DATABASE {live} TO Memory('copy')")
        server.execute(f"RESTORE DATABASE {live} AS {live}_old FROM Memory('copy')")

    def restore() -> None:
        drop(url)
        with _clickhouse(url) as server:
            server.execute(f"CREATE DATABASE IF NOT EXISTS {live}")
            for table in tables:
                server.execute(f"RENAME TABLE {live}_old.{table} TO {live}.{table}")
            server.execute(f"DROP DATABASE {live}_old SYNC")

    return restore


def _tables(server: Server) -> list[str]:
    its = f"database = '{server.address.database}' AND engine LIKE '%MergeTree'"
    return [table for (table,) in server.rows(f"SELECT name FROM system.tables WHERE {its}")]


def _clickhouse(url: str) -> closing[Server]:
    return closing(Server(address_of(url)))


def _name(url: str) -> str:
    return urlsplit(url).path[1:]


def _admin(url: str):  # type: ignore[no-untyped-def]  # a connection of psycopg, whose type needs its import
    import psycopg

    parts = urlsplit(url)
    return psycopg.connect(urlunsplit(parts._replace(path="/postgres")), autocommit=True)
