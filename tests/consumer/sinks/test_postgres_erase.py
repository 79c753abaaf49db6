"""Erasure in PostgreSQL beside who merges the account, and beside other sinks of the database."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import closing

import psycopg
import pytest

from flowise_telemetry_consumer.sinks.account.reading import streams_of
from flowise_telemetry_consumer.sinks.erasures import ErasedIds
from flowise_telemetry_consumer.sinks.postgres.address import address_of
from flowise_telemetry_consumer.sinks.postgres.sink import PostgresSink
from flowise_telemetry_schemas import catalog
from tests.consumer.loss.streams import batch_with, events
from tests.consumer.sinks.batches import envelope
from tests.services.docker_engine import wait_until
from tests.services.postgres import with_parameters

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


def test_another_sink_with_the_name_of_staging_tables_is_left_alone(
    new_postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    archive_url = with_parameters(new_postgres_url, "schema=public_archive")
    batch = batch_with(events("a", range(3)))
    with closing(open_sink(new_postgres_url)) as sink, closing(open_sink(archive_url)) as archive:
        staging = sink.staging("next")
        staging.prepare(catalog())
        for each in (sink, archive, staging):
            each.write(batch)
        assert erase(sink) == {"tool_created": 3, "public_next.tool_created": 3}
        assert archive.counts()["tool_created"] == 3
        assert streams_of(archive)["added"].sum() == 3
        assert archive.erasures() == []
        said = [line for line in caplog.messages if "nothing is erased from" in line]
        assert len(said) == 1
        assert "the schema public_archive, which" in said[0]
        assert erase(archive) == {"tool_created": 3}
        # What a promotion exchanges are tables; the schemas stay what they were.
        sink.promote("next")
        assert erase(sink) == {}
        staging.close()


def test_staging_tables_of_an_older_version_are_known_once_they_are_opened(new_postgres_url: str) -> None:
    with closing(open_sink(new_postgres_url)) as sink:
        with closing(sink.staging("next")) as staging:
            staging.prepare(catalog())
        with psycopg.connect(new_postgres_url, autocommit=True) as connection:
            connection.execute("DROP TABLE public_next.flowise_telemetry_staging")
        with closing(sink.staging("next")) as staging:
            staging.prepare(catalog())
            staging.write(batch_with(events("a", range(3))))
        assert erase(sink) == {"public_next.tool_created": 3}
