"""Two sets of tables exchange their names; what a kill leaves half done, the next turn finishes."""

from __future__ import annotations

import json
from collections.abc import Iterable

from flowise_telemetry_consumer.sinks.clickhouse.log import Entry, Promotion, append
from flowise_telemetry_consumer.sinks.clickhouse.server import Server, name
from flowise_telemetry_consumer.sinks.clickhouse.tables import table_ids

__all__ = ["begin", "exchange", "finish", "table_of"]


def table_of(table_set: str, event: str) -> str:
    """Return the name of a table. No event has two underscores in its name, so set and event cannot be confused."""
    return f"{table_set}__{event}" if table_set else event


def begin(server: Server, number: int, live: str, table_set: str, events: Iterable[str]) -> Promotion:
    """Write down what is to be exchanged: the table that each live name had."""
    ids = table_ids(server)
    found = json.dumps({event: ids[table_of(live, event)] for event in events})
    promotion = Promotion(number, live, table_set, found)
    entry = Entry(kind="promote", source=live, table_set=table_set, batch=number, description=found)
    append(server, [entry], token=f"promote:{number}")
    return promotion


def exchange(server: Server, promotion: Promotion) -> None:
    """Exchange the names that have not been exchanged yet."""
    ids = table_ids(server)
    pairs = [
        f"{name(table_of(promotion.live, event))} AND {name(table_of(promotion.table_set, event))}"
        for event, was in json.loads(promotion.found).items()
        if ids[table_of(promotion.live, event)] == was
    ]
    # One name after another, also in one statement: the server makes no promise for all of them together.
    for pair in pairs:
        server.execute(f"EXCHANGE TABLES {pair}")


def finish(server: Server, promotion: Promotion) -> None:
    """Exchange what a killed promotion left, and write down that it ended."""
    exchange(server, promotion)
    append(server, [Entry(kind="promoted", batch=promotion.number)], token=f"promoted:{promotion.number}")
