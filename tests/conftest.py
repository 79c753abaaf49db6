"""Brokers and databases for all tests: started when the first test wants them, named at the end of the run."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from flowise_telemetry_transport.logging import quiet_kafka_python
from tests.services.kafka import KafkaService, start_embedded, start_kafka
from tests.services.ladder import NoServiceError, docker_is_required
from tests.services.postgres import PostgresService, start_postgres

# Before a test imports kafka itself: from then on that client would speak, depending on the order of the tests.
quiet_kafka_python()

Service = KafkaService | PostgresService

USED = pytest.StashKey[dict[str, tuple[Service, list[str]]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[USED] = {}


@pytest.fixture(scope="session")
def kafka(pytestconfig: pytest.Config) -> Iterator[KafkaService]:
    """The broker: given, in Docker, a Java process, or embedded. Take topics and groups from it."""
    try:
        service, passed_over = start_kafka()
    except NoServiceError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    pytestconfig.stash[USED]["kafka broker"] = (service, passed_over)
    yield service
    service.stop()


@pytest.fixture(scope="session")
def embedded_kafka() -> Iterator[KafkaService]:
    """librdkafka's mock cluster, always."""
    service = start_embedded()
    yield service
    service.stop()


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> Iterator[PostgresService]:
    """The PostgreSQL server: given, in Docker, or out of a wheel."""
    try:
        service, passed_over = start_postgres()
    except NoServiceError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    pytestconfig.stash[USED]["database"] = (service, passed_over)
    yield service
    service.stop()


@pytest.fixture(scope="session")
def postgres_url(postgres: PostgresService) -> str:
    """One database that all tests share."""
    return postgres.url


@pytest.fixture
def new_postgres_url(postgres: PostgresService) -> str:
    """A database of this test's own."""
    return postgres.new_database()


@pytest.fixture(autouse=True)
def _real_broker(request: pytest.FixtureRequest) -> None:
    """Tests marked ``real_broker`` are skipped, by name, where the embedded broker is all there is."""
    if request.node.get_closest_marker("real_broker") is None:
        return
    broker: KafkaService = request.getfixturevalue("kafka")
    if not broker.is_real:
        pytest.skip("needs a real Kafka: give KAFKA_BOOTSTRAP_SERVERS, Docker, or java and mvn")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """REQUIRE_DOCKER=1 is for runs that must not leave anything out: there a skip is a failure."""
    report = yield
    if report.skipped and docker_is_required() and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"REQUIRE_DOCKER=1 forbids this skip: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.section("services")
    for name in ("kafka broker", "database"):
        service, passed_over = config.stash[USED].get(name, (None, []))
        if service is None:
            terminalreporter.write_line(f"{name}: none was needed")
            continue
        tests = len({test for test in service.used_by if test})
        terminalreporter.write_line(f"{name}: {service.description} ({tests} tests)")
        for reason in passed_over:
            terminalreporter.write_line(f"  not {reason}")
