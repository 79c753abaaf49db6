"""Views for analysts in a database of one file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.sql_file.database import C, Connection, DatabaseFile, quoted
from flowise_telemetry_consumer.sinks.sql_file.event_tables import EventTables
from flowise_telemetry_consumer.sinks.views import Dialect, Due, due_views, not_made, warn_of_taken
from flowise_telemetry_schemas import EventSchema

__all__ = ["AnalystViews", "ViewStatements"]

C_contra = TypeVar("C_contra", bound=Connection, contravariant=True)


class ViewStatements(Protocol[C_contra]):
    """Statements on views; each database has a module of them."""

    DIALECT: Dialect

    def relations(self, db: C_contra) -> dict[str, str]:
        """Return the comment of each table and view that has the name of a view, empty for none."""

    def replace(self, db: C_contra, due: Due) -> None:
        """Make a view anew, inside a transaction."""


class AnalystViews(Generic[C]):
    """The views of the live tables. They read tables by name, so that a promotion changes nothing about them."""

    def __init__(
        self, database: DatabaseFile[C], tables: EventTables[C], statements: ViewStatements[C], url: str
    ) -> None:
        self._database = database
        self._tables = tables
        self._statements = statements
        self._url = url
        self._told: set[str] = set()

    def make(self, db: C, schemas: Iterable[EventSchema]) -> None:
        """Make what is missing or older, in a transaction of its own; warn where that cannot be."""
        schemas = tuple(schemas)
        if not schemas:
            return
        due = self._due(db, schemas)
        warn_of_taken(self._url, self._statements.relations(db), self._told)
        if not due:
            return
        try:
            with self._database.explain_errors(), self._database.transaction(db):
                # Another consumer may have been here first.
                for view in self._due(db, schemas):
                    self._statements.replace(db, view)
        except SinkError as error:
            not_made(self._url, due, error.message, self._told)

    def _due(self, db: C, schemas: Iterable[EventSchema]) -> list[Due]:
        held = self._tables.all_columns(db)
        return due_views(
            schemas,
            self._statements.relations(db),
            lambda table: held.get(table, frozenset()),
            self._statements.DIALECT,
            quoted,
        )
