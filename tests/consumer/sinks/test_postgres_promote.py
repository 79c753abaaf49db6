"""What else hangs on the tables of PostgreSQL, and what a swap makes of it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest

from flowise_telemetry_consumer.errors import SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.postgres import PostgresSink
from flowise_telemetry_consumer.sinks.postgres.address import address_of
from flowise_telemetry_schemas import ConfigurationError, catalog
from tests.consumer.sinks.batches import batch, sizes
from tests.consumer.sinks.roles import DatabaseSink, open_database
from tests.services.postgres import with_parameters


@pytest.fixture
def admin(new_postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(new_postgres_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def live(new_postgres_url: str) -> Iterator[DatabaseSink]:
    opened = open_database(new_postgres_url)
    opened.prepare(catalog())
    opened.write(batch(0))
    yield opened
    opened.close()


@pytest.fixture
def staging(live: DatabaseSink) -> Iterator[DatabaseSink]:
    opened = live.staging("next")
    opened.prepare(catalog())
    opened.write(batch(0, repeat=3))
    yield opened
    opened.close()


@pytest.fixture
def role(admin: psycopg.Connection[Any]) -> Iterator[str]:
    name = f"Role {uuid.uuid4().hex[:12]}"
    admin.execute(f'CREATE ROLE "{name}"')
    yield name
    admin.execute(f'DROP OWNED BY "{name}"')
    admin.execute(f'DROP ROLE "{name}"')


def test_views_show_the_new_rows_and_keep_what_they_are(
    admin: psycopg.Connection[Any], live: DatabaseSink, staging: DatabaseSink, role: str
) -> None:
    admin.execute(
        "CREATE SCHEMA boards; "
        'CREATE VIEW boards."By day" WITH (security_barrier) AS '
        "SELECT occurred_at::date AS day, count(*) AS tools, max(tool_name) FROM tool_created GROUP BY 1; "
        'CREATE VIEW boards.total AS SELECT sum(tools) AS tools FROM boards."By day"; '
        "CREATE VIEW boards.both AS SELECT (SELECT count(*) FROM tool_created), n.next FROM "
        "(SELECT count(*) AS next FROM public_next.tool_created) AS n; "
        "CREATE VIEW boards.other AS SELECT count(*) FROM public_next.tool_created; "
        f'GRANT SELECT ON boards.total TO "{role}"; GRANT USAGE ON SCHEMA boards TO "{role}"'
    )
    for expected, other in ((3, 1), (1, 3)):
        live.promote("next")
        assert admin.execute("SELECT * FROM boards.both").fetchone() == (expected, other)
        assert admin.execute("SELECT * FROM boards.other").fetchone() == (other,)
        with admin.transaction():
            admin.execute(f'SET LOCAL ROLE "{role}"')
            assert admin.execute("SELECT tools FROM boards.total").fetchone() == (expected,)
    options = admin.execute("SELECT reloptions FROM pg_class WHERE relname = 'By day'").fetchone()
    assert options == (["security_barrier=true"],)


def test_who_could_use_the_old_tables_can_use_the_new(
    admin: psycopg.Connection[Any], live: DatabaseSink, staging: DatabaseSink, role: str
) -> None:
    admin.execute(
        f'GRANT SELECT, INSERT ON tool_created TO "{role}"; GRANT SELECT ON prediction_sent TO PUBLIC; '
        f'GRANT UPDATE ON flowise_telemetry_progress TO "{role}" WITH GRANT OPTION'
    )
    live.promote("next")
    for table, right, expected in (
        ("tool_created", "SELECT", True),
        ("tool_created", "INSERT", True),
        ("tool_created", "UPDATE", False),
        ("prediction_sent", "SELECT", True),
        ("assistant_created", "SELECT", False),
        ("flowise_telemetry_progress", "UPDATE WITH GRANT OPTION", True),
    ):
        row = admin.execute("SELECT has_table_privilege(%s, %s, %s)", (role, f"public.{table}", right)).fetchone()
        assert row == (expected,), (table, right)


def test_names_of_indexes_and_constraints_are_those_of_before(
    admin: psycopg.Connection[Any], live: DatabaseSink, staging: DatabaseSink
) -> None:
    def names() -> list[Any]:
        return admin.execute(
            "SELECT schemaname, tablename, indexname, indexdef FROM pg_indexes "
            "WHERE schemaname LIKE 'public%' ORDER BY 1, 3"
        ).fetchall()

    before = names()
    live.promote("next")
    assert names() == before
    assert admin.execute("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'swap%'").fetchone() == (0,)


def test_a_materialized_view_is_told_before_anything_is_swapped(
    admin: psycopg.Connection[Any], live: DatabaseSink, staging: DatabaseSink
) -> None:
    admin.execute("CREATE MATERIALIZED VIEW kept AS SELECT count(*) FROM tool_created")
    with pytest.raises(SinkError, match=r"public\.kept holds rows of the old tables: drop it") as caught:
        live.promote("next")
    assert not caught.value.retryable
    assert live.counts() == sizes(batch())


def test_a_view_that_the_new_tables_cannot_fill_leaves_all_as_it_was(
    admin: psycopg.Connection[Any], live: DatabaseSink, staging: DatabaseSink
) -> None:
    admin.execute("ALTER TABLE tool_created ADD COLUMN note text; CREATE VIEW notes AS SELECT note FROM tool_created")
    with pytest.raises(SinkError, match=r"view public\.notes cannot .* does not exist"):
        live.promote("next")
    assert live.counts() == sizes(batch())
    assert admin.execute("SELECT count(*) FROM notes").fetchone() == (1,)


def test_a_swap_gives_way_to_readers_and_goes_on_when_they_end(
    admin: psycopg.Connection[Any], live: DatabaseSink, staging: DatabaseSink, new_postgres_url: str
) -> None:
    with psycopg.connect(new_postgres_url) as reader:
        # Has the last of the tables and wants the first: with a swap that waits for it while it has others, a deadlock.
        reader.execute("SELECT count(*) FROM vector_upserted")
        thread = threading.Thread(target=live.promote, args=("next",))
        thread.start()
        while admin.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (0,):
            assert thread.is_alive()
        assert reader.execute("SELECT count(*) FROM assistant_created").fetchone() == (1,)
        assert thread.is_alive()
        reader.rollback()
        thread.join(60)
        assert reader.execute("SELECT count(*) FROM assistant_created").fetchone() == (3,)


def test_a_reader_of_a_view_that_waits_is_not_in_the_way(
    admin: psycopg.Connection[Any], live: DatabaseSink, staging: DatabaseSink, new_postgres_url: str
) -> None:
    admin.execute("CREATE VIEW total AS SELECT count(*) FROM tool_created")
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    seen: list[Any] = []

    def read() -> None:
        with psycopg.connect(new_postgres_url) as connection:
            seen.append(connection.execute("SELECT * FROM total").fetchone())

    with psycopg.connect(new_postgres_url) as reader:
        reader.execute("SELECT count(*) FROM tool_created")
        threads = [threading.Thread(target=live.promote, args=("next",)), threading.Thread(target=read)]
        for thread in threads:
            thread.start()
            while not seen and admin.execute(waiting).fetchone() == (0,):
                assert threads[0].is_alive()
        reader.rollback()
    for thread in threads:
        thread.join(60)
    # Whether it came to read while the swap held back, or had to wait, it saw one or the other.
    assert seen in ([(1,)], [(3,)])
    assert admin.execute("SELECT * FROM total").fetchone() == (3,)


def test_a_view_of_another_is_told_before_anything_is_swapped(
    admin: psycopg.Connection[Any], live: DatabaseSink, staging: DatabaseSink, role: str, new_postgres_url: str
) -> None:
    admin.execute(f'CREATE VIEW total AS SELECT count(*) FROM tool_created; ALTER VIEW total OWNER TO "{role}"')
    swapper = f"{role}_swapper"
    admin.execute(f"CREATE ROLE \"{swapper}\" LOGIN PASSWORD 'x'")
    try:
        for schema in ("public", "public_next"):
            admin.execute(f'GRANT ALL ON SCHEMA {schema} TO "{swapper}"')
            for (table,) in admin.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,)
            ).fetchall():
                admin.execute(f'ALTER TABLE {schema}.{table} OWNER TO "{swapper}"')
        parts = urlsplit(new_postgres_url)
        address = f"{quote(swapper)}:x@{parts.netloc.rpartition('@')[2]}"
        sink = open_database(urlunsplit(parts._replace(netloc=address)))
        with pytest.raises(SinkError, match="must be owner of view total"):
            sink.promote("next")
        assert live.counts() == sizes(batch())
    finally:
        admin.execute(f'DROP OWNED BY "{swapper}" CASCADE')
        admin.execute(f'DROP ROLE "{swapper}"')


def test_readers_that_do_not_end_are_told(live: DatabaseSink, staging: DatabaseSink, new_postgres_url: str) -> None:
    impatient = PostgresSink(address_of(new_postgres_url), promote_timeout_seconds=0.0)
    with psycopg.connect(new_postgres_url) as reader:
        reader.execute("SELECT count(*) FROM vector_upserted")
        with pytest.raises(SinkUnavailableError, match="others have had the tables") as caught:
            impatient.promote("next")
    assert caught.value.retryable
    assert live.counts() == sizes(batch())


def test_a_schema_whose_name_would_be_cut_off_is_told(new_postgres_url: str) -> None:
    with pytest.raises(ConfigurationError, match="more than 63 bytes"):
        open_database(with_parameters(new_postgres_url, f"schema={'x' * 64}"))
    sink = open_database(with_parameters(new_postgres_url, f"schema={'x' * 40}"))
    with pytest.raises(ConfigurationError, match="more than 63 bytes"):
        sink.staging("y" * 23)
