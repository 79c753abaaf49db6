"""A sink in one file: ``sqlite:///relative.db`` or ``sqlite:////absolute.db``."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import polars as pl

from flowise_telemetry_consumer.errors import SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.file_url import file_of
from flowise_telemetry_consumer.sinks.port import Batch, WriteResult
from flowise_telemetry_consumer.sinks.rows import default_in_row, frame_of_rows, newest, rows_frame
from flowise_telemetry_schemas import EventSchema, Field, catalog

__all__ = ["BUSY_TIMEOUT_SECONDS", "SqliteSink", "open_sqlite"]

BUSY_TIMEOUT_SECONDS = 10.0
"""How long a write waits for another program's lock before it raises ``SinkUnavailableError``."""

_WAL_RETRY_SECONDS = 0.05
_NUMBERS = ("int", "long", "boolean")


def open_sqlite(url: str) -> SqliteSink:
    """The sink of an SQLite URL; the file is made by ``prepare``."""
    return SqliteSink(file_of(url, "sqlite"))


class SqliteSink:
    """Events in an SQLite file, one table for each.

    The file is in WAL mode, so that it can be read while it is written, and every commit is on the disk before it
    counts (``synchronous=FULL``). Timestamps are text such as ``2026-01-31T12:00:00.000Z``, graphs JSON text.
    """

    def __init__(self, path: Path, *, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS) -> None:
        self._path = path
        self._busy_timeout_seconds = busy_timeout_seconds
        self._schemas: dict[str, EventSchema] = {}
        self._db: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    @property
    def url(self) -> str:
        """The address; a file has no password."""
        return f"sqlite:///{self._path}"

    def prepare(self, schemas: Iterable[EventSchema]) -> None:
        """Makes the file, the tables and the columns that are missing."""
        self._schemas |= newest([*self._schemas.values(), *schemas])
        with self._failures_told():
            # Makes the tables itself where it opens the file.
            if self._db is None:
                self._open()
            else:
                self._make_tables(self._db)

    def write(self, batch: Batch) -> WriteResult:
        """Adds the events of a batch that are not there yet, in one transaction."""
        written: dict[str, int] = {}
        with self._failures_told():
            for event in sorted(batch.frames):
                if event not in self._schemas:
                    raise SinkError(f"{event} was not prepared in {self.url}", event=event)
            db = self._open()
            with _transaction(db):
                for event in sorted(batch.frames):
                    written[event] = _insert(db, self._schemas[event], batch.frames[event])
            self._require_same_file()
        duplicates = {event: frame.height - written[event] for event, frame in batch.frames.items()}
        return WriteResult(written=written, duplicates=duplicates)

    def read(self, event: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """The events of one table, from a connection of its own that sees the state at its start."""
        schema = self._known().get(event) or catalog().latest(event)
        with self._failures_told(), contextlib.closing(self._open_for_reading()) as db:
            held = _columns(db, event)
            missing = [field.column for field in schema.fields if field.column not in held]
            if missing:
                what = f"columns {', '.join(missing)} in the table {event}" if held else f"table {event}"
                raise SinkError(f"there are no {what} in {self.url}: a consumer makes them when it starts", event=event)
            cursor = db.execute(f"SELECT {_names(schema.fields)} FROM {_quoted(event)}")  # noqa: S608 - names of the schema
            while rows := cursor.fetchmany(batch_rows):
                yield frame_of_rows(schema, rows)

    def counts(self) -> dict[str, int]:
        """The number of rows of each table, all as of one moment."""
        with self._failures_told(), contextlib.closing(self._open_for_reading()) as db:
            db.execute("BEGIN")
            there = [event for event in sorted(self._known()) if _columns(db, event)]
            return {
                event: db.execute(f"SELECT count(*) FROM {_quoted(event)}").fetchone()[0]  # noqa: S608 - as above
                for event in there
            }

    def close(self) -> None:
        """Closes the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _known(self) -> Mapping[str, EventSchema]:
        return self._schemas or newest(catalog())

    def _open(self) -> sqlite3.Connection:
        if self._db is not None:
            self._require_same_file()
            return self._db
        db = sqlite3.connect(self._path, timeout=self._busy_timeout_seconds, isolation_level=None)
        try:
            self._use_wal(db)
            # NORMAL would lose the last commits with the power, and Kafka's offsets say that they were written.
            db.execute("PRAGMA synchronous = FULL")
            self._make_tables(db)
            self._identity = self._identity_now()
        except BaseException:
            db.close()
            raise
        self._db = db
        return db

    def _use_wal(self, db: sqlite3.Connection) -> None:
        # SQLite does not wait for a lock while it changes the journal mode: two first starts at once collide here.
        deadline = time.monotonic() + self._busy_timeout_seconds
        while True:
            try:
                db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
                time.sleep(_WAL_RETRY_SECONDS)
            else:
                return

    def _open_for_reading(self) -> sqlite3.Connection:
        address = f"file:{quote(str(self._path.absolute()))}?mode=ro"
        return sqlite3.connect(address, uri=True, timeout=self._busy_timeout_seconds, isolation_level=None)

    def _make_tables(self, db: sqlite3.Connection) -> None:
        with _transaction(db):
            for schema in self._schemas.values():
                held = _columns(db, schema.event)
                if not held:
                    _make_table(db, schema)
                    continue
                for field in schema.fields:
                    if field.column not in held:
                        db.execute(f"ALTER TABLE {_quoted(schema.event)} ADD COLUMN {_declaration(field)}")

    def _identity_now(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def _require_same_file(self) -> None:
        """SQLite writes on to a file that was removed, as if nothing had happened."""
        if self._identity_now() != self._identity:
            self.close()
            raise SinkUnavailableError(f"{self.url} was moved or removed while it was open; it is made anew")

    @contextlib.contextmanager
    def _failures_told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            # A new connection is cheap; what state a failed one is in depends on the failure.
            self.close()
            raise self._told(error) from error

    def _told(self, error: sqlite3.Error) -> SinkError:
        code = _code(error)
        unavailable = {
            sqlite3.SQLITE_BUSY: f"has been locked by another program for {self._busy_timeout_seconds:g} s",
            sqlite3.SQLITE_LOCKED: "is locked by another connection",
            sqlite3.SQLITE_FULL: "cannot grow: the disk is full",
            sqlite3.SQLITE_IOERR: f"cannot be read or written: {error}",
        }
        if code in unavailable:
            return SinkUnavailableError(f"{self.url} {unavailable[code]}")
        refused = {
            sqlite3.SQLITE_NOTADB: "is not an SQLite database: name another file",
            sqlite3.SQLITE_READONLY: "may not be written by this user: give it the file and its folder",
            sqlite3.SQLITE_PERM: "may not be used by this user: give it the file and its folder",
            sqlite3.SQLITE_CANTOPEN: f"cannot be opened: {self._why_not_opened()}",
        }
        return SinkError(f"{self.url} {refused.get(code or 0, f'refused: {error}')}")

    def _why_not_opened(self) -> str:
        folder = self._path.absolute().parent
        if not folder.is_dir():
            return f"make the folder {folder} first"
        if self._path.is_dir():
            return "it is a folder, name a file"
        if self._path.exists():
            return "this user may not use the file"
        return "there is no such file" + (
            "" if os.access(folder, os.W_OK) else ", and this user may not make one there"
        )


def _code(error: sqlite3.Error) -> int | None:
    """The primary result code; misuse that Python finds itself has none."""
    extended: int | None = getattr(error, "sqlite_errorcode", None)
    return None if extended is None else extended & 0xFF


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    # IMMEDIATE: the lock is waited for here, where it can be had, and not in the middle, where SQLite gives up at once.
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # Some failures have rolled back already.
        if db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
        raise


def _insert(db: sqlite3.Connection, schema: EventSchema, frame: pl.DataFrame) -> int:
    marks = ", ".join("?" * len(schema.fields))
    # Not INSERT OR IGNORE: that would pass over a null in a column that takes none, too.
    statement = (
        f"INSERT INTO {_quoted(schema.event)} ({_names(schema.fields)}) VALUES ({marks}) "  # noqa: S608 - names of the schema
        "ON CONFLICT (event_id) DO NOTHING"
    )
    return db.executemany(statement, rows_frame(schema, frame).rows()).rowcount


def _make_table(db: sqlite3.Connection, schema: EventSchema) -> None:
    table = _quoted(schema.event)
    columns = ", ".join(_declaration(field) for field in schema.fields)
    db.execute(f"CREATE TABLE {table} ({columns}, PRIMARY KEY (event_id))")
    db.execute(f"CREATE INDEX {_quoted(f'{schema.event}_occurred_at')} ON {table} (occurred_at)")


def _declaration(field: Field) -> str:
    parts = [_quoted(field.column), "INTEGER" if field.kind in _NUMBERS else "TEXT"]
    if not field.nullable:
        parts.append("NOT NULL")
    default = default_in_row(field)
    if default is not None:
        # Declarations take no parameters; the default is the schema file's.
        literal = str(int(default)) if isinstance(default, int) else "'" + default.replace("'", "''") + "'"
        parts.append(f"DEFAULT {literal}")
    return " ".join(parts)


def _columns(db: sqlite3.Connection, table: str) -> frozenset[str]:
    rows = db.execute("SELECT name FROM pragma_table_info(?)", (table,))
    return frozenset(name for (name,) in rows)


def _names(fields: Iterable[Field]) -> str:
    return ", ".join(_quoted(field.column) for field in fields)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
