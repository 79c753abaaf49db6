"""Translate clickhouse-connect's errors.

The server's text may quote values, so only the name of the error is repeated, except for refused grants and logins,
whose texts contain names alone.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from flowise_telemetry_consumer.errors import RowRefusedError, SinkDeniedError, SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.clickhouse.address import Address
from flowise_telemetry_consumer.sinks.own_tables import AGAINST_NO_EVENT

__all__ = ["translate_errors"]

_OUTAGES = {
    "ABORTED",
    "CANNOT_ALLOCATE_MEMORY",
    "CANNOT_OPEN_FILE",
    "CANNOT_WRITE_TO_FILE_DESCRIPTOR",
    "ERRNO_EXCEPTION",
    "MEMORY_LIMIT_EXCEEDED",
    "NETWORK_ERROR",
    "NOT_ENOUGH_SPACE",
    "QUERY_WAS_CANCELLED",
    "SOCKET_TIMEOUT",
    "TABLE_IS_READ_ONLY",
    "TIMEOUT_EXCEEDED",
    "TOO_MANY_PARTS",
    "TOO_MANY_SIMULTANEOUS_QUERIES",
}
_DENIED = "ACCESS_DENIED"
_LOGIN = ("AUTHENTICATION_FAILED", "REQUIRED_PASSWORD", "WRONG_PASSWORD", "UNKNOWN_USER")
_RULE = "VIOLATED_CONSTRAINT"
_COLUMNS = r"\([^)]*\)"
_OWN_TABLES = "flowise_telemetry_"  # after the name of staging tables, where it is one of those
_MISSING = ("UNKNOWN_DATABASE", "UNKNOWN_TABLE", "UNKNOWN_IDENTIFIER", "NO_SUCH_COLUMN_IN_TABLE")


@contextlib.contextmanager
def translate_errors(address: Address) -> Iterator[None]:
    """Raise ``SinkError`` or ``SinkUnavailableError`` for clickhouse-connect's errors inside."""
    from clickhouse_connect.driver.exceptions import ClickHouseError

    try:
        yield
    except ClickHouseError as error:
        raise _failure(error, address) from None


def _failure(error: Exception, address: Address) -> SinkError:
    """Return our error for one of the client or the server."""
    name, shown = str(getattr(error, "name", None) or ""), address.shown
    if not name:
        return _unreached(error, address)
    if name in _OUTAGES:
        return SinkUnavailableError(f"{shown} is not available: {name}")
    if name in _LOGIN:
        return SinkDeniedError(f"{shown} rejected the login: check user, password and database")
    if name == _DENIED:
        return SinkDeniedError(f"{shown} refused: {_grant(str(error))}: GRANT it to the role of docs/sinks.md")
    if name in _MISSING:
        return SinkError(f"{shown}: {name}: a database is made by its owner, a consumer makes tables when it starts")
    return _refusal(name, str(error), shown)


def _refusal(name: str, text: str, shown: str) -> SinkError:
    """Return our error for what a rule of a table refuses, or for what is not known here."""
    if name != _RULE:
        return SinkError(f"{shown} refused: {name}")
    found = re.search(r"Constraint `(\w+)` for table (\S+)", text)
    rule = f" {found[1]} of {found[2]}" if found else ""
    refused = f"{shown} refused: {name}{rule}; change or drop that rule"
    if found and _OWN_TABLES in found[2].rpartition(".")[2]:
        return SinkUnavailableError(f"{refused}: {AGAINST_NO_EVENT}")
    return RowRefusedError(refused)


def _unreached(error: Exception, address: Address) -> SinkError:
    """Return our error for one that no server sent."""
    shown = address.shown
    if "engine" in str(error) and address.makes_database:
        return SinkUnavailableError(
            f"{shown} cannot be opened: one process at a time has a folder, and a process one folder; close it there"
        )
    return SinkUnavailableError(f"{shown} cannot be reached: {_cause(error)}")


def _cause(error: Exception) -> str:
    """Return the kind of the failure below the client's error, as urllib3 names it; its text can hold a whole URL."""
    below = error.__cause__ or error
    kind = type(getattr(below, "reason", None) or below).__name__  # of MaxRetryError, the last try's failure
    if kind == "SSLError":
        return f"{kind}: its certificate is not trusted, or it speaks plain HTTP there (?secure=false)"
    return kind


def _grant(text: str) -> str:
    """Return the right that is missing, as the server names it."""
    found = re.search(r"necessary to have the grant (.+?) ON (\S+?)\.?(\s|$)", text)
    # The columns would be a line of their own.
    return f"the grant {re.sub(_COLUMNS, '', found[1])} ON {found[2]} is missing" if found else "a grant is missing"
