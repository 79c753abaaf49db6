"""A rule that others add to a table: named, waited for, and gone round where that is wanted, in each kind of sink."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry_consumer.errors import RowRefusedError, SinkTooSlowError, SinkUnavailableError
from flowise_telemetry_consumer.sinks import Batch, WriteResult, open_sink
from flowise_telemetry_consumer.sinks.account.tables import STREAMS_TABLE
from flowise_telemetry_consumer.sinks.clickhouse.address import address_of
from flowise_telemetry_consumer.sinks.clickhouse.failures import translate_errors
from flowise_telemetry_consumer.sinks.clickhouse.server import Server
from flowise_telemetry_consumer.sinks.parts import PartedWrite, WriteSize
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.sinks.batches import batch, sizes
from tests.consumer.sinks.roles import open_claimed, open_readable
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


@pytest.mark.slow
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


def _refuse_in_sqlite(url: str, table: str) -> None:
    with closing(sqlite3.connect(url.partition(":///")[2])) as database:
        for act in ("INSERT", "UPDATE"):
            database.execute(
                f"CREATE TRIGGER no_{act} BEFORE {act} ON {table} BEGIN SELECT RAISE(ABORT, 'not this one'); END"
            )


def _refuse_in_duckdb(url: str, table: str) -> None:
    import duckdb

    with closing(duckdb.connect(url.partition(":///")[2])) as database:
        column, *_ = database.execute(f"DESCRIBE {table}").fetchone() or ()
        columns = ", ".join(f"{name} {kind}" for name, kind, *_ in database.execute(f"DESCRIBE {table}").fetchall())
        database.execute(f"ALTER TABLE {table} RENAME TO kept")
        database.execute(f"CREATE TABLE {table} ({columns}, CHECK ({column} IS NULL))")


def _allow_in_sqlite(url: str, table: str) -> None:
    with closing(sqlite3.connect(url.partition(":///")[2])) as database:
        for act in ("INSERT", "UPDATE"):
            database.execute(f"DROP TRIGGER no_{act}")


def _allow_in_duckdb(url: str, table: str) -> None:
    import duckdb

    with closing(duckdb.connect(url.partition(":///")[2])) as database:
        database.execute(f"DROP TABLE {table}")
        database.execute(f"ALTER TABLE kept RENAME TO {table}")


OWN_RULES = {"sqlite": (_refuse_in_sqlite, _allow_in_sqlite), "duckdb": (_refuse_in_duckdb, _allow_in_duckdb)}


@pytest.mark.parametrize("kind", OWN_RULES)
def test_a_rule_on_the_accounts_own_table_blames_no_event(kind: str, tmp_path: Path) -> None:
    url, (refuse, allow) = f"{kind}:///{tmp_path}/events", OWN_RULES[kind]
    whole = batch(repeat=3)
    with closing(open_sink(url)) as sink:
        sink.prepare(catalog())
    refuse(url, STREAMS_TABLE)
    with closing(open_sink(url)) as sink:
        sink.prepare(catalog())
        write = PartedWrite(sink, whole, WriteSize())
        for _ in range(3):
            with pytest.raises(SinkUnavailableError, match="is on a table of the sink's own") as caught:
                write.step()
            assert not isinstance(caught.value, RowRefusedError)
            assert write.next_part == whole.frames
    allow(url, STREAMS_TABLE)
    with closing(open_readable(url)) as sink:
        sink.prepare(catalog())
        assert sink.write(whole).written == sizes(whole)
        assert sink.counts() == sizes(whole)


@pytest.mark.parametrize(
    ("table", "is_of_a_row"),
    [
        ("flowise_telemetry_data.tool_created", True),
        ("events.flowise_telemetry_streams", False),
        ("events.rebuilt__flowise_telemetry_dead_letters", False),
    ],
)
def test_clickhouse_names_the_table_of_a_rule(table: str, *, is_of_a_row: bool) -> None:
    from clickhouse_connect.driver.exceptions import DatabaseError

    error: Any = DatabaseError(f"Constraint `mine` for table {table} (uuid) is violated at row 1")
    error.name = "VIOLATED_CONSTRAINT"
    said = f"VIOLATED_CONSTRAINT mine of {table}"
    with (
        pytest.raises(SinkUnavailableError, match=said) as caught,
        translate_errors(address_of("clickhouse://localhost/events")),
    ):
        raise error
    assert isinstance(caught.value, RowRefusedError) is is_of_a_row


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
