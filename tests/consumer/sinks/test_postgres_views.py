"""The views in PostgreSQL: what the planner makes of them, and what others may do with tables, names and rights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from flowise_telemetry_consumer.sinks.views import VIEWS
from flowise_telemetry_schemas import catalog
from tests.consumer.sinks.analyst import rows
from tests.consumer.sinks.batches import batch, sizes, with_second_version
from tests.consumer.sinks.postgres_roles import login_role
from tests.consumer.sinks.roles import open_database
from tests.consumer.sinks.test_postgres import changed


@pytest.fixture
def url(new_postgres_url: str) -> str:
    with closing(open_database(new_postgres_url)) as sink:
        sink.prepare(catalog())
        sink.write(batch())
    return new_postgres_url


@pytest.fixture
def admin(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def role(admin: psycopg.Connection[Any]) -> Iterator[str]:
    with login_role(admin, "pw") as name:
        yield name


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "views" in record.getMessage()]


def test_conditions_reach_the_tables(admin: psycopg.Connection[Any]) -> None:
    admin.execute("SET enable_seqscan = off")
    plan = "\n".join(
        line
        for (line,) in admin.execute(
            "EXPLAIN SELECT node_type, count(*) FROM nodes "
            "WHERE event = 'prediction_sent' AND occurred_at >= '2026-01-01' GROUP BY 1"
        )
    )
    assert "prediction_sent_occurred_at_idx" in plan
    assert "vector_upserted" not in plan
    assert "Function Scan on flowise_telemetry" not in plan


def test_tables_may_be_renamed_and_dropped_and_their_names_taken_again(
    url: str, admin: psycopg.Connection[Any]
) -> None:
    admin.execute("ALTER TABLE prediction_sent RENAME TO kept; CREATE TABLE prediction_sent (LIKE kept INCLUDING ALL)")
    assert rows(url, "SELECT count(*) FROM all_events WHERE event = 'prediction_sent'") == [(0,)]
    admin.execute("INSERT INTO prediction_sent SELECT * FROM kept; DROP TABLE kept")
    assert rows(url, "SELECT count(*) FROM all_events WHERE event = 'prediction_sent'") == [(1,)]
    admin.execute("ALTER TABLE tool_created ALTER COLUMN tool_name TYPE varchar(99)")
    assert rows(url, "SELECT count(tool_name) FROM all_events") == [(1,)]


def test_a_role_that_may_not_create_goes_on_without(
    url: str, admin: psycopg.Connection[Any], role: str, caplog: pytest.LogCaptureFixture
) -> None:
    admin.execute(f"REVOKE CREATE ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO {role}".encode())
    admin.execute(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {role}".encode())
    admin.execute("DROP VIEW flows")
    with closing(open_database(changed(url, user=f"{role}:pw"))) as sink:
        for _ in range(2):
            sink.prepare(catalog())
        assert sink.write(batch(1)).written == sizes(batch(1))
    (said,) = warnings(caplog)
    assert "the views flows could not be made: permission denied for schema public: let a role that may create" in said
    # The same role reads those that are there.
    assert rows(changed(url, user=f"{role}:pw"), "SELECT count(*) FROM nodes") == [(18,)]


def test_a_view_that_others_have_is_not_waited_for(
    url: str, admin: psycopg.Connection[Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    newer = [with_second_version(tmp_path / "schemas", "tool_created")]
    with psycopg.connect(url) as other:
        other.execute("ALTER VIEW all_events OWNER TO CURRENT_USER")  # locks it alone
        with closing(open_database(url)) as sink:
            sink.prepare(newer)
    (said,) = warnings(caplog)
    assert said.endswith("others use them; the next start tries again")
    admin.execute("GRANT SELECT ON all_events TO PUBLIC")
    with closing(open_database(url)) as sink:
        sink.prepare(newer)
    assert rows(url, "SELECT node_count FROM all_events WHERE event = 'tool_created'") == [(7,)]
    granted = admin.execute("SELECT relacl::text FROM pg_class WHERE relname = 'all_events'").fetchone()
    assert granted is not None
    assert "=r/" in granted[0]


def test_functions_of_former_views_are_removed(url: str, admin: psycopg.Connection[Any], tmp_path: Path) -> None:
    with closing(open_database(url)) as sink:
        sink.prepare([with_second_version(tmp_path / "schemas", "tool_created")])
    found = admin.execute("SELECT proname FROM pg_proc WHERE proname LIKE 'flowise_telemetry_view_%'").fetchall()
    assert sorted(name.rpartition("_")[0].removeprefix("flowise_telemetry_view_") for (name,) in found) == sorted(VIEWS)
