"""A rule that others add to a table: named, waited for, and gone round where that is wanted, in each kind of sink."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry_consumer.errors import RowRefusedError, SinkTooSlowError
from flowise_telemetry_consumer.sinks import Batch, WriteResult, open_sink
from flowise_telemetry_consumer.sinks.clickhouse.address import address_of
from flowise_telemetry_consumer.sinks.clickhouse.server import Server
from flowise_telemetry_consumer.sinks.parts import PartedWrite, WriteSize
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.sinks.batches import batch, sizes
from tests.consumer.sinks.roles import open_claimed
from tests.consumer.world import MemorySink

TP0 = TopicPartition("flowise.telemetry.events", 0)
SECOND = batch(repeat=3).frames["tool_created"]["event_id"][1]


def _sqlite(url: str) -> None:
    with closing(sqlite3.connect(url.partition(":///")[2])) as database:
        database.execute(
            "CREATE TRIGGER no_second BEFORE INSERT ON tool_created WHEN NEW.event_id = "
            f"'{SECOND}' BEGIN SELECT RAISE(ABORT, 'no second tool'); END"
        )


def _duckdb(url: str) -> None:
    import duckdb

    with closing(duckdb.connect(url.partition(":///")[2])) as database:
        database.execute("CREATE TABLE kept AS FROM tool_created")
        database.execute("DROP TABLE tool_created")
        columns = ", ".join(f"{name} {kind}" for name, kind, *_ in database.execute("DESCRIBE kept").fetchall())
        database.execute(f"CREATE TABLE tool_created ({columns}, CHECK (event_id <> '{SECOND}'))")


def _postgres(url: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as database:
        database.execute(f"ALTER TABLE tool_created ADD CONSTRAINT no_second CHECK (event_id <> '{SECOND}')".encode())


def _clickhouse(url: str) -> None:
    server = Server(address_of(url))
    server.execute(f"ALTER TABLE tool_created ADD CONSTRAINT no_second CHECK event_id <> toUUID('{SECOND}')")
    server.close()


RULES: dict[str, tuple[Callable[[str], None], str]] = {
    "sqlite": (_sqlite, "a trigger is against it; change or drop that rule"),
    "duckdb": (_duckdb, r"CHECK.*; change or drop that rule"),
    "postgresql": (_postgres, r"CheckViolation no_second in tool_created"),
    "clickhouse": (_clickhouse, r"VIOLATED_CONSTRAINT no_second of \S*tool_created"),
}
MARKS: dict[str, Any] = {"postgresql": pytest.mark.services, "clickhouse": pytest.mark.slow}  # it starts the engine


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=MARKS.get(kind, ())) for kind in RULES])
def test_a_row_is_refused_and_all_others_are_written(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = f"{kind}:///{tmp_path}/events"
    if kind == "postgresql":
        url = request.getfixturevalue("new_postgres_url")
    elif kind == "clickhouse":
        url = request.getfixturevalue("engine").database()
    add_rule, said = RULES[kind]
    with closing(open_sink(url)) as first:
        first.prepare(catalog())
    add_rule(url)
    with closing(open_claimed(url)) as sink:
        sink.prepare(catalog())
        sink.claim("group", [TP0])
        whole = replace(batch(repeat=3), offsets={TP0: 21}, source="group")
        with pytest.raises(RowRefusedError, match=said) as caught:
            sink.write(whole)
        assert caught.value.retryable
        assert SECOND not in str(caught.value) or kind == "duckdb"  # there the rule is an expression, of its author
        write, refused = PartedWrite(sink, whole, WriteSize()), 0
        while not write.is_done:
            try:
                write.step()
            except RowRefusedError:
                ((event, row),) = write.next_part.items()
                assert (event, row["event_id"].to_list()) == ("tool_created", [SECOND])
                refused += 1
                write.leave_out()
        assert refused == 1
        counts = {**sizes(whole), "tool_created": 2}
        written, duplicates, _ = write.counts
        assert (dict(+written), duplicates.total()) == (counts, 0)
        assert sink.counts() == counts
        assert sink.progress()[0].next_offsets == {TP0: 21}


def test_an_account_that_is_refused_has_no_row_to_blame() -> None:
    class Refusing(MemorySink):
        def write(self, batch: Batch) -> WriteResult:
            raise RowRefusedError("refused: CheckViolation in flowise_telemetry_dead_letters")

    write = PartedWrite(Refusing(), Batch({}, {}, "group"), WriteSize())
    with pytest.raises(RowRefusedError):
        write.step()
    assert write.next_part == {}


def test_offsets_that_are_slow_to_store_tell_nothing_of_rows() -> None:
    class Slow(MemorySink):
        def write(self, batch: Batch) -> WriteResult:
            raise SinkTooSlowError("has not answered for 60 s")

    size = WriteSize()
    with pytest.raises(SinkTooSlowError):
        PartedWrite(Slow(), Batch({}, {}, "group"), size).step()
    assert size.rows is None
