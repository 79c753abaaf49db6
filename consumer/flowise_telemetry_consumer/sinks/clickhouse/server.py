"""The connection to a ClickHouse: statements, frames in and frames out, as Arrow streams without pyarrow."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.clickhouse.address import Address
from flowise_telemetry_consumer.sinks.clickhouse.failures import translate_errors

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

__all__ = ["Server", "instant", "literal", "name", "text"]

Value = str | int | None

_INSERT_SETTINGS: dict[str, Any] = {
    # An insert that the server only queues may be lost after it was reported as done.
    "async_insert": 0,
    # A batch of a thousand months (clocks are wrong) is still one batch.
    "max_partitions_per_insert_block": 0,
    # It is one block: threads to start would have nothing to do.
    "max_threads": 1,
}


_CRASHES = [
    number
    for number in signal.Signals
    if number.name in {"SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP"}
]


class Server:
    """One connection, opened when first needed and again after every failure."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._client: Client | None = None

    def execute(self, statement: str) -> None:
        """Run a statement that returns nothing."""
        with self._connected() as client:
            client.command(statement)

    def rows(self, statement: str, *, quick: bool = False) -> list[tuple[Any, ...]]:
        """Return the rows of a small query; a quick one takes less time than the server takes to start its threads."""
        statement += " SETTINGS max_threads = 1" if quick else ""
        with self._connected() as client:
            return [tuple(row) for row in client.query(statement).result_rows]

    def frame(self, statement: str, *, max_query_bytes: int | None = None) -> pl.DataFrame:
        """Return the rows of a query as a frame."""
        settings = {"max_query_size": max_query_bytes} if max_query_bytes else None
        with self._connected() as client:
            arrow = client.raw_query(statement, settings=settings, fmt="ArrowStream")
        return pl.read_ipc_stream(arrow) if arrow else pl.DataFrame()

    def insert(self, table: str, frame: pl.DataFrame, *, token: str) -> None:
        """Insert a frame in one piece. The token makes a repetition of this insert by the client a single one."""
        arrow = io.BytesIO()
        frame.write_ipc_stream(arrow, compat_level=pl.CompatLevel.oldest())
        with self._connected() as client:
            client.raw_insert(
                f"{name(self.address.database)}.{name(table)}",
                frame.columns,
                arrow.getvalue(),
                settings={**_INSERT_SETTINGS, "insert_deduplication_token": token},
                fmt="ArrowStream",
            )

    def insert_rows(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]], *, token: str) -> None:
        """Insert a few rows in one piece: as text they take half the time of a frame."""
        names = ", ".join(map(name, columns))
        values = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
        given = {**_INSERT_SETTINGS, "insert_deduplication_token": token}
        settings = ", ".join(f"{setting} = {literal(value)}" for setting, value in given.items())
        self.execute(f"INSERT INTO {name(table)} ({names}) SETTINGS {settings} VALUES {values}")  # noqa: S608 - quoted

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Client]:
        try:
            with translate_errors(self.address):
                if self._client is None:
                    self._client = _connect(self.address)
                yield self._client
        except SinkError:
            # A new connection is cheap, and after a failover the old one would still lead to the wrong server.
            self.close()
            raise


def _connect(address: Address) -> Client:
    import clickhouse_connect

    if not address.makes_database:
        arguments = {**address.arguments, "password": address.password.read() or ""}
        return clickhouse_connect.get_client(**arguments, database=address.database)
    is_first = "chdb" not in sys.modules
    client = clickhouse_connect.get_client(**address.arguments)
    if is_first:
        _let_crashes_end_the_process()
    try:
        client.command(f"CREATE DATABASE IF NOT EXISTS {name(address.database)} ENGINE = Atomic")
        client.database = address.database
    except BaseException:
        client.close()
        raise
    return client


def _let_crashes_end_the_process() -> None:
    """Undo what chdb does to the signals of a crash when it is imported.

    Its handlers let the thread that crashed stand still for minutes, while the process lives on and each statement in
    it fails with ABORTED. A process that ends is started again.
    """
    for number in _CRASHES:
        # Python sets handlers from the main thread alone.
        with contextlib.suppress(ValueError):
            signal.signal(number, signal.SIG_DFL)
    if faulthandler.is_enabled():
        faulthandler.disable()
        faulthandler.enable()


def name(identifier: str) -> str:
    """Return an identifier, quoted for a statement."""
    return "`" + identifier.replace("\\", "\\\\").replace("`", "\\`") + "`"


def text(value: str) -> str:
    """Return a string, quoted for a statement."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def literal(value: Any) -> str:
    """Return a value, quoted for a statement: null, text, a number, a boolean, or lists and records of these."""
    match value:
        case None:
            return "NULL"
        case bool() | int():
            return str(int(value))
        case list():
            return f"[{', '.join(map(literal, value))}]"
        case dict():
            return f"tuple({', '.join(map(literal, value.values()))})"
        case _:
            return text(str(value))


def instant(time_ms: int) -> str:
    """Return a time, given in milliseconds since 1970, as an expression."""
    return f"fromUnixTimestamp64Milli(toInt64({time_ms:d}), 'UTC')"
