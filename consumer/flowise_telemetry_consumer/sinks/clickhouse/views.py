"""Views for analysts in ClickHouse. They show all rows of the tables, also of batches that are under way."""

from __future__ import annotations

from collections.abc import Iterable

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.clickhouse.server import Server, name, text
from flowise_telemetry_consumer.sinks.clickhouse.tables import columns_of
from flowise_telemetry_consumer.sinks.views import VIEWS, Dialect, due_views, not_made, warn_of_taken
from flowise_telemetry_schemas import EventSchema

__all__ = ["AnalystViews"]

_DIALECT = Dialect(
    quoted=name,
    types={
        "text": "Nullable(String)",
        "uuid": "Nullable(UUID)",
        "integer": "Nullable(Int64)",
        "boolean": "Nullable(Bool)",
        "time": "Nullable(DateTime64(3, 'UTC'))",
    },
    cast="CAST({value} AS {type})",
    day="toDate(e.occurred_at)",
    ever="max",
    id_minimum="min(instance_id)",
    node_rows="{table} AS e ARRAY JOIN {graph}.nodes AS its_node",
    node="its_node",
    edge_rows="{table} AS e ARRAY JOIN {graph}.edges AS its_edge",
    source="its_edge.source",
    target="its_edge.target",
    node_type="substr(trim(TRAILING '0123456789' FROM {id}), 1, length(trim(TRAILING '0123456789' FROM {id})) - 1)",
    vendors="(SELECT * FROM values('node_type String, vendor Nullable(String)', {rows})) AS {alias}",
    literal="{}",
)


class AnalystViews:
    """The views of the live tables. They read tables by name, so that a promotion changes nothing about them."""

    def __init__(self, server: Server, url: str, table_set: str) -> None:
        self._server = server
        self._url = url
        self._are_live = not table_set
        self._told: set[str] = set()

    def make(self, schemas: Iterable[EventSchema]) -> None:
        """Make what is missing or older; warn once where that cannot be."""
        if not self._are_live:
            return
        database = text(self._server.address.database)
        names = ", ".join(map(text, VIEWS))
        relations = dict(
            self._server.rows(
                f"SELECT name, comment FROM system.tables WHERE database = {database} AND name IN ({names})"  # noqa: S608
            )
        )
        held = columns_of(self._server)
        warn_of_taken(self._url, relations, self._told)
        due = due_views(schemas, relations, lambda table: held.get(table, frozenset()), _DIALECT, name)
        try:
            for view in due:
                self._server.execute(
                    f"CREATE OR REPLACE VIEW {name(view.name)} AS {view.query} COMMENT {text(view.comment)}"
                )
        except SinkError as error:
            not_made(self._url, due, error.message, self._told)
