"""The ladder itself, and that what it gives works."""

from __future__ import annotations

import pytest

from flowise_telemetry_transport import open_reader
from tests.services.kafka import KafkaService
from tests.services.ladder import NoServiceError, Rung, RungUnavailableError, climb, require_permission
from tests.services.postgres import PostgresService


def broken() -> str:
    raise RungUnavailableError("it is raining")


def test_the_first_rung_that_holds_is_used_and_the_others_say_why() -> None:
    rungs = [Rung("given", broken), Rung("docker", lambda: "container"), Rung("embedded", lambda: "mock")]
    assert climb("broker", rungs) == ("container", ["given: it is raining"])


def test_no_rung_holds() -> None:
    with pytest.raises(NoServiceError, match="no broker: given: it is raining"):
        climb("broker", [Rung("given", broken)])


def test_a_required_rung_has_no_substitute() -> None:
    rungs = [Rung("docker", broken), Rung("embedded", lambda: "mock")]
    with pytest.raises(NoServiceError, match=r"REQUIRE_DOCKER=1 allows docker only.*it is raining"):
        climb("broker", rungs, required="docker")


def test_a_run_without_services_forbids_them_with_the_mend() -> None:
    require_permission("a broker", {})
    with pytest.raises(NoServiceError, match="NO_SERVICES=1 forbids a broker: mark the test with `services`"):
        require_permission("a broker", {"NO_SERVICES": "1"})


def test_topics_of_the_broker_are_fresh(kafka: KafkaService) -> None:
    one, other = kafka.new_topic(), kafka.new_topic()
    reader = open_reader(kafka.settings())
    try:
        for topic in (one, other):
            partitions = reader.partitions_of(topic)
            assert len(partitions) == 4
            assert set(reader.end_offsets(partitions).values()) == {0}
    finally:
        reader.close()
    assert one != other


def test_databases_are_fresh(postgres: PostgresService, new_postgres_url: str) -> None:
    import psycopg

    other = postgres.new_database()
    assert other != new_postgres_url
    with psycopg.connect(new_postgres_url) as connection:
        connection.execute("CREATE TABLE mine (number int)")
    with psycopg.connect(other) as connection:
        assert connection.execute("SELECT to_regclass('mine')").fetchone() == (None,)
