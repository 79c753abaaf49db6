"""The views as queries, in the words that all databases share; ``Dialect`` has the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from flowise_telemetry_consumer.sinks.account.tables import LETTERS_TABLE, STREAMS_TABLE, dropped_columns
from flowise_telemetry_consumer.sinks.views.columns import ShownColumns
from flowise_telemetry_consumer.sinks.views.dialect import Dialect
from flowise_telemetry_schemas.node_types import node_vendors

__all__ = ["VIEWS", "View", "queries"]


@dataclass(frozen=True, slots=True)
class View:
    """A view: its name, one sentence on its rows, and which tables it reads beside those of events."""

    name: str
    doc: str
    account: str = ""


VIEWS: Mapping[str, View] = {
    view.name: view
    for view in (
        View("all_events", "One row an event, of every kind."),
        View("nodes", "One row a node of an event's graph."),
        View("edges", "One row an edge of an event's graph."),
        View("streams", "One row a stream, with its losses.", STREAMS_TABLE),
        View("flows", "One row a flow."),
        View("dead_letters", "One row a dead letter.", LETTERS_TABLE),
    )
}
_Table = Callable[[str], str]


def queries(shown: ShownColumns, dialect: Dialect, table: _Table, account: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield name and query of each view that has a table to read; ``table`` is what stands for one in FROM."""
    if shown.events:
        yield "all_events", _all_events(shown, dialect, table)
    if shown.graphs:
        yield "nodes", _nodes(shown, dialect, table)
        yield "edges", _edges(shown, dialect, table)
    if STREAMS_TABLE in account:
        yield "streams", _streams(dialect, table(STREAMS_TABLE))
    with_flow = [event for event, columns in shown.events.items() if "chatflow_id" in columns]
    if with_flow:
        yield "flows", _flows(with_flow, shown, dialect, table)
    if LETTERS_TABLE in account:
        yield "dead_letters", _dead_letters(dialect, table(LETTERS_TABLE))


def _all_events(shown: ShownColumns, dialect: Dialect, table: _Table) -> str:
    arms = []
    for event in shown.events:
        own = [f"{_own(shown, dialect, event, column)} AS {dialect.quoted(column)}" for column in shown.kinds]
        columns = ", ".join(
            [
                f"{dialect.text(event)} AS event, e.event_id AS event_id, e.occurred_at AS occurred_at",
                f"{dialect.day} AS day, e.instance_id AS instance_id, e.stream_id AS stream_id, e.sequence AS sequence",
                *own,
            ]
        )
        arms.append(f"SELECT {columns} FROM {table(event)} AS e")  # noqa: S608 - names of schemas
    return "\nUNION ALL ".join(arms)


def _own(shown: ShownColumns, dialect: Dialect, event: str, column: str) -> str:
    kind = shown.kinds.get(column, "text")
    if column not in shown.events[event]:
        return dialect.missing(kind)
    return dialect.value(f"e.{dialect.quoted(column)}", kind)


def _graph_rows(shown: ShownColumns, dialect: Dialect, table: _Table, rows: str, elements: Mapping[str, str]) -> str:
    """Return a query of the elements of all graphs, with the columns of their events."""
    arms = []
    for event, graph in shown.graphs.items():
        columns = ", ".join(
            [
                f"{dialect.text(event)} AS event, e.event_id AS event_id, e.occurred_at AS occurred_at",
                f"{dialect.day} AS day, e.instance_id AS instance_id",
                *(f"{_own(shown, dialect, event, column)} AS {column}" for column in ("version", "chatflow_id")),
                *(f"{expression} AS {name}" for name, expression in elements.items()),
            ]
        )
        of_graph = f"e.{dialect.quoted(graph)}"
        arms.append(f"SELECT {columns} FROM {rows.format(table=table(event), graph=of_graph)}")  # noqa: S608 - as above
    return "\nUNION ALL ".join(arms)


_CARRIED = "g.event AS event, g.event_id AS event_id, g.occurred_at AS occurred_at, g.day AS day, " + (
    "g.instance_id AS instance_id, g.version AS version, g.chatflow_id AS chatflow_id"
)


def _nodes(shown: ShownColumns, dialect: Dialect, table: _Table) -> str:
    rows = _graph_rows(shown, dialect, table, dialect.node_rows, {"node_id": dialect.node})
    node_type = dialect.node_type.format(id="g.node_id")
    typed = f"SELECT {_CARRIED}, g.node_id AS node_id, {node_type} AS node_type\nFROM ({rows}) AS g"
    return (
        f"SELECT {_CARRIED}, g.node_id AS node_id, g.node_type AS node_type, v.vendor AS vendor\nFROM ({typed}) AS g\n"
        f"LEFT JOIN {dialect.vendor_table(node_vendors(), 'v')} ON v.node_type = g.node_type"
    )


def _edges(shown: ShownColumns, dialect: Dialect, table: _Table) -> str:
    rows = _graph_rows(shown, dialect, table, dialect.edge_rows, {"source": dialect.source, "target": dialect.target})
    source_type, target_type = (dialect.node_type.format(id=its) for its in ("g.source", "g.target"))
    typed = (
        f"SELECT {_CARRIED}, g.source AS source, g.target AS target, {source_type} AS source_type, "
        f"{target_type} AS target_type\nFROM ({rows}) AS g"
    )
    return (
        f"SELECT {_CARRIED}, g.source AS source, g.target AS target, g.source_type AS source_type, "
        f"g.target_type AS target_type, s.vendor AS source_vendor, t.vendor AS target_vendor\nFROM ({typed}) AS g\n"
        f"LEFT JOIN {dialect.vendor_table(node_vendors(), 's')} ON s.node_type = g.source_type\n"
        f"LEFT JOIN {dialect.vendor_table(node_vendors(), 't')} ON t.node_type = g.target_type"
    )


def _streams(dialect: Dialect, rows: str) -> str:
    drops = dropped_columns()
    # The names of sums differ from those of columns: ClickHouse and DuckDB would read a sum where a column is meant.
    sums = ", ".join(
        [
            f"stream_id, {dialect.id_minimum} AS its_instance",
            "min(first_at) AS its_first, max(occurred_at) AS its_last",
            "max(numbered) AS its_told, coalesce(max(highest), -1) + 1 AS its_reach",
            f"{dialect.value('sum(added)', 'integer')} AS its_added, max(settled) AS its_settled",
            f"{dialect.ever}(ended) AS its_end",
            *(f"max({column}) AS its_{column}" for column in drops),
        ]
    )
    dropped = " + ".join(f"its_{column}" for column in drops)
    numbered = "CASE WHEN its_told > its_reach THEN its_told ELSE its_reach END"
    columns = ", ".join(
        [
            "stream_id, its_instance AS instance_id, its_first AS first_at, its_last AS last_at",
            f"{numbered} AS numbered, its_added AS received, its_settled AS settled, its_end AS ended",
            f"{numbered} - its_added AS missing, {numbered} - its_added - ({dropped}) AS unaccounted",
            f"{dropped} AS dropped",
            # Last: a view in PostgreSQL takes new columns at its end alone.
            *(f"its_{column} AS {column}" for column in drops),
        ]
    )
    return f"SELECT {columns}\nFROM (SELECT {sums} FROM {rows} GROUP BY stream_id) AS s"  # noqa: S608 - names of schemas


def _flows(events: list[str], shown: ShownColumns, dialect: Dialect, table: _Table) -> str:
    arms = "\nUNION ALL ".join(
        f"SELECT {dialect.text(event)} AS event, {_own(shown, dialect, event, 'chatflow_id')} AS chatflow_id, "  # noqa: S608
        f"e.occurred_at AS occurred_at FROM {table(event)} AS e"
        for event in events
    )
    return (
        "SELECT chatflow_id, min(occurred_at) AS first_seen, max(occurred_at) AS last_seen, "
        "min(CASE WHEN event = 'chatflow_created' THEN occurred_at END) AS created_at, "
        "count(CASE WHEN event = 'prediction_sent' THEN 1 END) AS predictions, "
        "count(CASE WHEN event = 'vector_upserted' THEN 1 END) AS upserts\n"
        f"FROM ({arms}) AS f WHERE chatflow_id IS NOT NULL GROUP BY chatflow_id"
    )


def _dead_letters(dialect: Dialect, rows: str) -> str:
    partition = dialect.quoted("partition")
    return (
        f"SELECT e.event_id AS letter_id, e.occurred_at AS occurred_at, {dialect.day} AS day, e.reason AS reason, "  # noqa: S608
        f"e.topic AS topic, e.{partition} AS {partition}, e.record_offset AS record_offset FROM {rows} AS e"
    )
