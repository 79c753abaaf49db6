"""Erasure in PostgreSQL beside who merges the account, and beside other sinks of the database."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import closing

import psycopg

from flowise_telemetry_consumer.sinks.account.reading import streams_of
from flowise_telemetry_consumer.sinks.erasures import ErasedIds
from flowise_telemetry_consumer.sinks.postgres.address import address_of
from flowise_telemetry_consumer.sinks.postgres.sink import PostgresSink
from flowise_telemetry_schemas import catalog
from tests.consumer.loss.streams import batch_with, events
from tests.consumer.sinks.batches import envelope
from tests.services.docker_engine import wait_until

INSTANCE = envelope(0).instance_id


def open_sink(url: str) -> PostgresSink:
    sink = PostgresSink(address_of(url))
    sink.prepare(catalog())
    return sink


def erase(sink: PostgresSink) -> Mapping[str, int]:
    counts: Counter[str] = Counter()
    for step in sink.erase(ErasedIds.of({"instance_id": [INSTANCE]})):
        counts.update(step)
    return counts


def waiting(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    return row[0] if row else 0


def test_a_merge_of_the_account_brings_nothing_back(new_postgres_url: str) -> None:
    """A merge that has read rows, and not written their sums, while they are erased."""
    url = new_postgres_url
    with closing(open_sink(url)) as sink, closing(PostgresSink(address_of(url))) as other:
        for number in range(3):
            sink.write(batch_with(events("a", [number])))
        threads = [threading.Thread(target=each) for each in (other.merge_account, lambda: erase(sink))]
        with psycopg.connect(url) as holder:
            # Its last row is held by another, so that the merge stands in the middle.
            holder.execute(
                "SELECT 1 FROM flowise_telemetry_streams "
                "WHERE ctid = (SELECT max(ctid) FROM flowise_telemetry_streams) FOR UPDATE"
            )
            for number, thread in enumerate(threads, 1):
                thread.start()
                wait_until(
                    lambda number=number: waiting(url) == number,  # type: ignore[misc]  # bound now
                    timeout_seconds=30,
                    alive=lambda: True,
                    what="the lock",
                )
        for thread in threads:
            thread.join()
        assert sum(sink.counts().values()) == 0
        assert streams_of(sink).height == 0
