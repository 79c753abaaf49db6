"""Translate psycopg's errors.

The server's text may quote values ("invalid input syntax for type uuid: …"), so it is repeated only for classes of
SQLSTATE whose texts contain names and states (PostgreSQL documentation, appendix A).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flowise_telemetry_consumer.errors import (
    RowRefusedError,
    SinkDeniedError,
    SinkError,
    SinkTooSlowError,
    SinkUnavailableError,
)
from flowise_telemetry_consumer.sinks.postgres.refused_logins import NO_ADVICE, advice_for

if TYPE_CHECKING:
    import psycopg

    from flowise_telemetry_consumer.sinks.postgres.address import Address

__all__ = ["GRANT_IT", "connect_failure", "failure", "no_key", "translate_errors"]

# Classes 08 connection, 40 rollback (deadlock), 53 resources (disk, connections), 55 in use, 57 operator (shutdown,
# timeout), 58 system.
_OUTAGES = ("08", "40", "53", "55", "57", "58")
_WITHOUT_VALUES = (*_OUTAGES, "25", "28", "3D", "3F", "42")
# read_only_sql_transaction (a standby); idle_in_transaction_session_timeout (a writer stopped in the middle).
_READ_ONLY = "25006"
_TOO_LONG = ("57014", "25P03")  # statement_timeout, idle_in_transaction_session_timeout of a writer that was stopped
_NO_RIGHT = "42501"
GRANT_IT = "GRANT it, or let a role that may create tables start a consumer once"
"""The mend of a right that is missing."""
_MISSING_TABLE = "42P01"
_MISSING_COLUMN = "42703"
_NO_UNIQUE_INDEX = "42P10"
# Classes 22 data exception, 23 integrity constraint violation, 44 check option of a view, P0 raised by a trigger.
_REFUSED_ROWS = ("22", "23", "44", "P0")


@contextlib.contextmanager
def translate_errors(address: Address, table: str = "") -> Iterator[None]:
    """Raise ``SinkError`` or ``SinkUnavailableError`` for psycopg's errors inside; ``table``: what they are about."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise failure(error, address, table) from _without_values(error)


def failure(error: psycopg.Error, address: Address, table: str = "") -> SinkError:
    """Return our error for one on an established connection."""
    import psycopg

    state, shown = error.sqlstate, address.shown
    if state is None:
        lost = isinstance(error, psycopg.OperationalError)
        kind = SinkUnavailableError if lost else SinkError
        return kind(f"{shown}: {'the connection was lost' if lost else 'failed'}: {_one_line(error)}")
    said = error.diag.message_primary or type(error).__name__
    if state == _READ_ONLY:
        return SinkUnavailableError(
            f"{shown} is not available: {said}: it is a standby, or set to be read-only; name the primary too, with"
            " target_session_attrs=read-write"
        )
    if state in _TOO_LONG:
        return SinkTooSlowError(f"{shown} is not available: {said}")
    if state[:2] in _OUTAGES:
        return SinkUnavailableError(f"{shown} is not available: {said}")
    if state == _NO_RIGHT:
        return _lacks_right(error, said, address)
    return _refusal(error, state, said, address, table)


def _lacks_right(error: psycopg.Error, said: str, address: Address) -> SinkError:
    """Return our error for a right that is missing: not every one of them can be granted."""
    if error.diag.source_function == "ExecWithCheckOptions" or "row-level security" in said:
        return RowRefusedError(f"{address.shown}: {said}: change that policy, or exempt the role (BYPASSRLS)")
    if said.startswith("permission denied"):
        mend = GRANT_IT
    else:
        mend = "only an owner may do this: let the owner start a consumer once, or GRANT the owner's role to this one"
    return SinkDeniedError(f"{address.shown}: {said}: {mend}")


def _refusal(error: psycopg.Error, state: str, said: str, address: Address, table: str) -> SinkError:
    """Return our error for what waiting alone does not mend; what refuses a row is named, never its value."""
    again = "it is made again with the next attempt, if the role may; else its owner has to start a consumer once"
    if state in (_MISSING_TABLE, _MISSING_COLUMN):
        # Someone has taken it away since the connection was made, which is when all is made that is missing.
        return SinkUnavailableError(f"{address.shown}: {said}: {again}")
    if state == _NO_UNIQUE_INDEX:
        return no_key(address, table)
    where = ".".join(filter(None, (error.diag.table_name or table, error.diag.column_name)))
    named = f"{type(error).__name__}{f' in {where}' if where else ''}"
    if state[:2] in _REFUSED_ROWS:
        name = f" {error.diag.constraint_name}" if error.diag.constraint_name else ""
        refused = named.replace(" in ", f"{name} in ", 1) if where else f"{named}{name}"
        return RowRefusedError(f"{address.shown} refused: {refused} ({state}); change or drop that rule")
    about = f"{table}: " if table else ""
    return SinkError(f"{address.shown} refused: {about}{said if state[:2] in _WITHOUT_VALUES else named} ({state})")


def no_key(address: Address, table: str) -> SinkUnavailableError:
    """Return the error for a table in which an event could be twice."""
    name = f"{address.schema}.{table}"
    return SinkUnavailableError(
        f"{address.shown}: {name} has no primary key or unique index of event_id alone, so that an event could be there"
        f" twice: ALTER TABLE {name} ADD PRIMARY KEY (event_id)"
    )


def connect_failure(error: psycopg.Error, address: Address, *, was_connected: bool) -> SinkError:
    """Return our error for a connection attempt that failed.

    libpq gives no SQLSTATE here, so the server is pinged to tell a rejected login from an unreachable server. If the
    same address worked before, a rejection is part of an outage: a failover, too many connections.
    """
    from psycopg.pq import PGconn, Ping

    said = _one_line(error)
    advice = advice_for(said)
    answers = advice is not NO_ADVICE
    if not answers and not was_connected:
        answers = PGconn.ping(address.conninfo.encode()) in (Ping.OK, Ping.NO_ATTEMPT)
    if not answers:
        return SinkUnavailableError(f"{address.shown} cannot be reached: {said}")
    refused = f"{address.shown} {advice.refusal}: {said}{f': {advice.mend}' if advice.mend else ''}"
    return SinkUnavailableError(refused) if was_connected or advice.waits else SinkError(refused)


def _without_values(error: psycopg.Error) -> psycopg.Error | None:
    """Return the error as a cause, unless its text may quote a value that a log would then print."""
    return error if error.sqlstate is None or error.sqlstate[:2] in _WITHOUT_VALUES else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
