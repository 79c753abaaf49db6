"""The first start of a PostgreSQL sink that has an account: what is there is summed up, a piece after the other."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import psycopg
import pytest

from flowise_telemetry_consumer.sinks.account.reading import streams_of
from flowise_telemetry_consumer.sinks.erasures import ErasedIds
from flowise_telemetry_consumer.sinks.postgres.address import address_of
from flowise_telemetry_consumer.sinks.postgres.seeding import seed_account
from flowise_telemetry_consumer.sinks.postgres.sink import PostgresSink
from flowise_telemetry_schemas import catalog
from tests.consumer.loss.streams import DAY_MS, NOW_MS, batch_with, events, state

Rows = list[tuple[object, ...]]


class KilledError(Exception):
    """The process ends between two pieces."""


def open_sink(url: str) -> PostgresSink:
    sink = PostgresSink(address_of(url))
    sink.prepare(catalog())
    return sink


def account_of(url: str) -> Rows:
    with closing(PostgresSink(address_of(url))) as sink:
        return sorted(streams_of(sink).rows())


def run(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.fixture
def older(new_postgres_url: str) -> tuple[str, Rows]:
    """A sink of some blocks that an older version has written, and what its account is."""
    with closing(open_sink(new_postgres_url)) as sink:
        for day in range(3):
            at_ms = NOW_MS + day * DAY_MS
            numbers = range(200 * day, 200 * day + 200)
            sink.write(
                batch_with(*(events(name, numbers, at_ms) for name in "abc"), state("a", day, at_ms, numbered=600))
            )
    account = account_of(new_postgres_url)
    run(new_postgres_url, "DROP TABLE flowise_telemetry_streams")
    return new_postgres_url, account


def seed(url: str, *, pieces: int = 10_000) -> int:
    """Sum up a block at a time; stop after so many pieces. Returns how many there were."""
    done = 0

    @contextmanager
    def step() -> Iterator[None]:
        nonlocal done
        if done == pieces:
            raise KilledError
        with connection.transaction():
            yield
        done += 1

    with psycopg.connect(url, autocommit=True) as connection, suppress(KilledError):
        seed_account(connection, address_of(url), step, piece_blocks=1)
    return done


def test_a_start_sums_up_what_is_there(older: tuple[str, Rows], caplog: pytest.LogCaptureFixture) -> None:
    url, account = older
    with caplog.at_level(logging.WARNING, "flowise_telemetry"), closing(open_sink(url)):
        pass
    assert account_of(url) == account
    assert [line for line in caplog.messages if "account of streams" in line][-1].endswith("is complete")
    caplog.clear()
    with closing(open_sink(url)):
        pass
    assert not [line for line in caplog.messages if "account of streams" in line]


def test_it_goes_on_where_it_was_stopped(older: tuple[str, Rows]) -> None:
    url, account = older
    assert seed(url, pieces=3) == 3
    assert account_of(url) == [], "half of an account is none"
    assert seed(url, pieces=2) == 2
    assert seed(url) > 5
    assert account_of(url) == account
    assert seed(url) == 0


def test_a_table_that_is_written_anew_meanwhile_is_summed_up_anew(older: tuple[str, Rows]) -> None:
    url, account = older
    seed(url, pieces=4)
    run(url, "DELETE FROM tool_created WHERE ctid < '(2,0)'")
    run(url, "VACUUM FULL tool_created")
    seed(url)
    with closing(PostgresSink(address_of(url))) as sink:
        held = sum(sink.counts().values()) - 3
        assert streams_of(sink)["added"].sum() == held < sum(200 for _ in account)


def test_an_erasure_between_two_pieces_leaves_nothing_of_the_installation(older: tuple[str, Rows]) -> None:
    url, account = older
    instance = str(account[0][1])
    seed(url, pieces=4)
    with closing(PostgresSink(address_of(url))) as sink:
        for _ in sink.erase(ErasedIds.of({"instance_id": [instance]})):
            pass
    seed(url)
    assert [row for row in account_of(url) if str(row[1]) == instance] == []


def test_partitions_are_summed_up(older: tuple[str, Rows]) -> None:
    url, account = older
    run(
        url,
        "ALTER TABLE tool_created RENAME TO tool_created_before;"
        "CREATE TABLE tool_created (LIKE tool_created_before INCLUDING ALL) PARTITION BY HASH (event_id);"
        "CREATE TABLE tool_created_0 PARTITION OF tool_created FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE tool_created_1 PARTITION OF tool_created FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
        "INSERT INTO tool_created SELECT * FROM tool_created_before;",
    )
    assert seed(url) > 3
    assert account_of(url) == account
