"""Translate psycopg's errors.

The server's text may quote values ("invalid input syntax for type uuid: …"), so it is repeated only for classes of
SQLSTATE whose texts contain names and states (PostgreSQL documentation, appendix A).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flowise_telemetry_consumer.errors import RowRefusedError, SinkDeniedError, SinkError, SinkUnavailableError

if TYPE_CHECKING:
    import psycopg

    from flowise_telemetry_consumer.sinks.postgres.address import Address

__all__ = ["connect_failure", "failure", "translate_errors"]

# Classes 08 connection, 40 rollback (deadlock), 53 resources (disk, connections), 55 in use, 57 operator (shutdown,
# timeout), 58 system.
_OUTAGES = ("08", "40", "53", "55", "57", "58")
_WITHOUT_VALUES = (*_OUTAGES, "25", "28", "3D", "3F", "42")
# read_only_sql_transaction (a standby); idle_in_transaction_session_timeout (a writer stopped in the middle).
_OUTAGE_STATES = ("25006", "25P03")
_NO_RIGHT = "42501"
_MISSING_TABLE = "42P01"
_MISSING_COLUMN = "42703"
# Classes 22 data exception, 23 integrity constraint violation, 44 check option of a view, P0 raised by a trigger.
_REFUSED_ROWS = ("22", "23", "44", "P0")


@contextlib.contextmanager
def translate_errors(address: Address) -> Iterator[None]:
    """Raise ``SinkError`` or ``SinkUnavailableError`` for psycopg's errors inside."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise failure(error, address) from _without_values(error)


def failure(error: psycopg.Error, address: Address) -> SinkError:
    """Return our error for one on an established connection."""
    import psycopg

    state = error.sqlstate
    if state is None:
        lost = isinstance(error, psycopg.OperationalError)
        kind = SinkUnavailableError if lost else SinkError
        return kind(f"{address.shown}: {'the connection was lost' if lost else 'failed'}: {_one_line(error)}")
    said = error.diag.message_primary or type(error).__name__
    if state in _OUTAGE_STATES or state[:2] in _OUTAGES:
        return SinkUnavailableError(f"{address.shown} is not available: {said}")
    if state == _NO_RIGHT:
        return SinkDeniedError(
            f"{address.shown}: {said}: GRANT it, or let a role that may create tables start a consumer once"
        )
    return _refusal(error, state, said, address)


def _refusal(error: psycopg.Error, state: str, said: str, address: Address) -> SinkError:
    """Return our error for what waiting alone does not mend; what refuses a row is named, never its value."""
    if state == _MISSING_TABLE:
        return SinkError(f"{address.shown}: {said}: a consumer creates what is missing when it starts")
    if state == _MISSING_COLUMN:
        return RowRefusedError(f"{address.shown}: {said}: a consumer adds it when it starts")
    where = ".".join(filter(None, (error.diag.table_name, error.diag.column_name)))
    named = f"{type(error).__name__}{f' in {where}' if where else ''}"
    if state[:2] in _REFUSED_ROWS:
        name = f" {error.diag.constraint_name}" if error.diag.constraint_name else ""
        refused = named.replace(" in ", f"{name} in ", 1) if where else f"{named}{name}"
        return RowRefusedError(f"{address.shown} refused: {refused} ({state}); change or drop that rule")
    return SinkError(f"{address.shown} refused: {said if state[:2] in _WITHOUT_VALUES else named} ({state})")


def connect_failure(error: psycopg.Error, address: Address, *, was_connected: bool) -> SinkError:
    """Return our error for a connection attempt that failed.

    libpq gives no SQLSTATE here, so the server is pinged to tell a rejected login from an unreachable server. If the
    same address worked before, a rejection is part of an outage: a failover, too many connections.
    """
    from psycopg.pq import PGconn, Ping

    if not was_connected and PGconn.ping(address.conninfo.encode()) in (Ping.OK, Ping.NO_ATTEMPT):
        mend = "check user, password and database"
        return SinkError(f"{address.shown} rejected the login: {_one_line(error)}: {mend}")
    return SinkUnavailableError(f"{address.shown} cannot be reached: {_one_line(error)}")


def _without_values(error: psycopg.Error) -> psycopg.Error | None:
    """Return the error as a cause, unless its text may quote a value that a log would then print."""
    return error if error.sqlstate is None or error.sqlstate[:2] in _WITHOUT_VALUES else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
