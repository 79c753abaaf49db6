"""What a new connection is looked at for: settings and tables of others that the sink has to live with, or cannot."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from flowise_telemetry_consumer.sinks.postgres.durability import warn_of_unsafe_server
from flowise_telemetry_consumer.sinks.postgres.errors import no_key

if TYPE_CHECKING:
    from psycopg import Connection

    from flowise_telemetry_consumer.sinks.postgres.address import Address

__all__ = ["Inspection", "without_key"]

logger = logging.getLogger("flowise_telemetry.consumer")


class Inspection:
    """Looks at a server and its tables, and warns once of each thing."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._looked_at_server = False
        self._told: set[tuple[str, str]] = set()

    def look(self, connection: Connection[Any], events: Collection[str]) -> None:
        """Look through a connection. Raises ``SinkUnavailableError`` where a table could have an event twice."""
        schema_name, shown = self._address.schema, self._address.shown
        without = without_key(connection, schema_name, events)
        if without:
            raise no_key(self._address, without[0])
        for table, name in set(_triggers_of(connection, schema_name, events)) - self._told:
            self._told.add((table, name))
            logger.warning(
                "%s: trigger %s of %s runs before each row is added: what it skips is counted as already there",
                *(shown, name, table),
            )
        if not self._looked_at_server:
            warn_of_unsafe_server(connection, shown)
            self._looked_at_server = True


def _triggers_of(connection: Connection[Any], schema_name: str, events: Iterable[str]) -> list[tuple[str, str]]:
    """Return table and name of each trigger that runs before a row is added, and may skip it."""
    rows = connection.execute(
        "SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = ANY(%s) "
        # TRIGGER_TYPE_ROW, _BEFORE and _INSERT of pg_trigger.h
        "AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 7 = 7 ORDER BY 1, 2",
        (schema_name, sorted(events)),
    )
    return [(table, name) for table, name in rows]


def without_key(connection: Connection[Any], schema_name: str, events: Iterable[str]) -> list[str]:
    """Return the tables in which an event could be twice: they have no unique index of ``event_id`` alone."""
    wanted = sorted(events)
    rows = connection.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'event_id' "
        "JOIN pg_index i ON i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL "
        "AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum WHERE n.nspname = %s AND c.relname = ANY(%s)",
        (schema_name, wanted),
    )
    return sorted(set(wanted) - {name for (name,) in rows})
