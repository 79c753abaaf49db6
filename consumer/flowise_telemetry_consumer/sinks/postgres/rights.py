"""What a role may do in a database, as the server tells it: nothing is written to find out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flowise_telemetry_consumer.sinks.account.tables import ACCOUNT_TABLES, account_schema
from flowise_telemetry_consumer.sinks.claims import PROGRESS_TABLE
from flowise_telemetry_consumer.sinks.postgres.address import Address
from flowise_telemetry_consumer.sinks.postgres.connecting import Connector
from flowise_telemetry_consumer.sinks.postgres.deadline import limit_transaction
from flowise_telemetry_consumer.sinks.postgres.durability import unsafe_server
from flowise_telemetry_consumer.sinks.postgres.errors import GRANT_IT, no_key, translate_errors
from flowise_telemetry_consumer.sinks.postgres.inspection import without_key
from flowise_telemetry_consumer.sinks.postgres.tables import columns_of, missing_fields
from flowise_telemetry_consumer.sinks.rows import newest
from flowise_telemetry_schemas import EventSchema
from flowise_telemetry_transport.diagnosis.clock import clock_finding
from flowise_telemetry_transport.diagnosis.finding import Finding, failed, ok, warning

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["look_at_postgres"]

_RIGHT = "sink: right"
_TABLES = "sink: tables"
_STATEMENT_MS = 5_000


def look_at_postgres(address: Address, schemas: Sequence[EventSchema]) -> Iterator[Finding]:
    """Yield what is found of server and role, through one connection that only reads. Raises as ``prepare``."""
    with translate_errors(address), contextlib.closing(Connector(address).connect()) as connection:
        connection.read_only = True
        with connection.transaction():
            limit_transaction(connection, _STATEMENT_MS)
            ((version, now, is_standby, role),) = connection.execute(
                "SELECT current_setting('server_version'), extract(epoch FROM clock_timestamp())::float8,"
                " pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on', current_user"
            )
            heard = time.time()
            yield ok("sink", f"{address.shown} is PostgreSQL {version}, as {role}")
            yield clock_finding("sink: time", address.shown, now, heard)
            if is_standby:
                mend = "name the primary too, with target_session_attrs=read-write"
                yield failed(_RIGHT, f"{address.shown} is a standby, or set to be read-only", mend)
                return
            yield from _rights(connection, address, newest(schemas))


def _rights(connection: Connection[Any], address: Address, events: Mapping[str, EventSchema]) -> Iterator[Finding]:
    tables = sorted({*events, *ACCOUNT_TABLES, PROGRESS_TABLE})
    there = [table for table in tables if columns_of(connection, address.schema, table)]
    missing = [table for table in tables if table not in there]
    lacking = [*_lacking_to_make(connection, address, missing)] if missing else []
    if there:
        lacking += _not_held(connection, "database", None, ("TEMPORARY",))
        # Without it no table can be asked for.
        in_schema = _not_held(connection, "schema", address.schema, ("USAGE",))
        lacking += in_schema or _not_held_on_tables(connection, address, there)
    if lacking:
        yield failed(_RIGHT, f"{address.shown}: the role lacks {', '.join(lacking[:4])}", GRANT_IT)
        return
    made = f"; {len(missing)} tables are made at the first start" if missing else ""
    yield ok(_RIGHT, f"schema {address.schema} may be written{made}")
    wanted = {**events, **{table: account_schema(table) for table in ACCOUNT_TABLES}}
    older = [each for each in there if each in wanted and missing_fields(connection, address.schema, wanted[each])]
    if older:
        yield _older(connection, address, older)
    for table in without_key(connection, address.schema, set(events) & set(there)):
        yield failed(_TABLES, no_key(address, table))
    unsafe = unsafe_server(connection, address.shown)
    if unsafe is not None:
        yield warning("sink: durability", unsafe)


def _older(connection: Connection[Any], address: Address, tables: Sequence[str]) -> Finding:
    """Return whether the columns that these tables lack are added at the next start: only their owner may."""
    foreign = connection.execute(
        "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = %s"
        " AND relname = ANY(%s) AND NOT pg_has_role(relowner, 'USAGE') ORDER BY 1",
        (address.schema, list(tables)),
    ).fetchall()
    says = f"{address.shown}: columns of a newer version are missing in {', '.join(tables)}"
    if foreign:
        return failed(_TABLES, says, "let the role that owns the tables start a consumer once")
    return ok(_TABLES, f"{says}; they are added at the first start")


def _not_held_on_tables(connection: Connection[Any], address: Address, tables: Iterable[str]) -> list[str]:
    lacking = []
    for table in tables:
        wanted = ("SELECT", "INSERT", *(("UPDATE",) if table == PROGRESS_TABLE else ()))
        lacking += _not_held(connection, "table", f"{_quoted(address.schema)}.{_quoted(table)}", wanted)
    return lacking


def _lacking_to_make(connection: Connection[Any], address: Address, tables: Iterable[str]) -> Iterator[str]:
    is_there = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (address.schema,)).fetchone()
    if is_there is None:
        yield from _not_held(connection, "database", None, ("CREATE",))
        return
    lacking = _not_held(connection, "schema", address.schema, ("USAGE", "CREATE"))
    yield from (f"{each} (for {len([*tables])} tables that are missing)" for each in lacking)


def _not_held(connection: Connection[Any], kind: str, name: str | None, wanted: Iterable[str]) -> list[str]:
    """Return those of the rights that the role does not have, each with what it is about."""
    place = "current_database()" if name is None else "%(name)s"
    lacking = []
    for right in wanted:
        ((held, shown),) = connection.execute(
            f"SELECT has_{kind}_privilege({place}, %(right)s), {place}",
            {"name": name, "right": right},
        )
        if not held:
            lacking.append(f"{right} on {kind} {shown}")
    return lacking


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
