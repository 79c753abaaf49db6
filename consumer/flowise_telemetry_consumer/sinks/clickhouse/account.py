"""The account in ClickHouse: rows with ids of their own, and with the number of their batch as all rows."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

import polars as pl

from flowise_telemetry_consumer.sinks.account.rows import stream_rows
from flowise_telemetry_consumer.sinks.account.tables import (
    LETTERS_TABLE,
    STREAMS_TABLE,
    account_schema,
    filed_streams,
)
from flowise_telemetry_schemas import EventSchema

__all__ = ["account_schemas", "filed_rows"]


def account_schemas() -> Mapping[str, EventSchema]:
    """Return the columns of both tables."""
    return {STREAMS_TABLE: filed_streams(by_event=False), LETTERS_TABLE: account_schema(LETTERS_TABLE)}


def filed_rows(added: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Return the rows of ``STREAMS_TABLE`` for what a batch added; dead letters have no stream."""
    rows = stream_rows({event: frame for event, frame in added.items() if event != LETTERS_TABLE})
    return rows.insert_column(0, pl.Series("event_id", [str(uuid.uuid4()) for _ in range(rows.height)], pl.String()))
