"""Brokers and databases for all tests: started when the first test wants them, named at the end of the run.

Under pytest-xdist all workers share one of each, as far as it can be reached from another process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from flowise_telemetry_transport import EmbeddedBroker
from tests.scratch import Scratch
from tests.services.clickhouse import ClickhouseService, clickhouse_at, start_clickhouse
from tests.services.kafka import KafkaService, kafka_at, start_embedded, start_kafka
from tests.services.ladder import NoServiceError, docker_is_required, require_permission
from tests.services.object_store import ObjectStoreService, object_store_at, start_object_store
from tests.services.postgres import PostgresService, postgres_at, start_postgres
from tests.services.sharing import share
from tests.services.usage import Usage
from tests.thoroughness import load_hypothesis_profile

if TYPE_CHECKING:
    from tests.consumer.sinks.clickhouse_engine import Engine

load_hypothesis_profile()

USAGE = pytest.StashKey[Usage]()
SCRATCH = pytest.StashKey[Scratch]()
SERVICES = frozenset({"kafka", "embedded_kafka", "postgres", "object_store", "clickhouse_server"})


def pytest_configure(config: pytest.Config) -> None:
    config.stash[USAGE] = Usage()
    config.stash[SCRATCH] = Scratch()
    config.stash[SCRATCH].take()  # workers inherit it


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[SCRATCH].remove()


@pytest.hookimpl(tryfirst=True)  # before -m is looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by ``services`` what asks for one by name; what asks in its body is marked where it stands."""
    for item in items:
        if SERVICES.intersection(getattr(item, "fixturenames", ())) or item.get_closest_marker("real_broker"):
            item.add_marker(pytest.mark.services)
        if item.get_closest_marker("java"):
            item.add_marker(pytest.mark.slow)


S = TypeVar("S", KafkaService, PostgresService, ObjectStoreService, ClickhouseService)


def _share(
    name: str,
    request: pytest.FixtureRequest,
    start: Callable[[], tuple[S, list[str]]],
    at: Callable[[dict[str, Any]], S],
    *,
    is_needed: bool = True,
) -> Iterator[S]:
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    folder = factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        folder = folder.parent  # the one that all workers of this run have
    try:
        with share(name.replace(" ", "-"), folder, start, at) as found:
            request.config.stash[USAGE].add(name, found)
            yield found.service
    except NoServiceError as error:
        if not is_needed:
            pytest.skip(str(error))
        raise pytest.fail.Exception(str(error), pytrace=False) from None


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[KafkaService]:
    """The broker: given, in Docker, a Java process, or embedded. Take topics and groups from it."""
    yield from _share("kafka broker", request, start_kafka, kafka_at)


@pytest.fixture(scope="session")
def embedded_kafka() -> Iterator[KafkaService]:
    """librdkafka's mock cluster, always."""
    service = start_embedded()
    yield service
    service.stop()


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[PostgresService]:
    """The PostgreSQL server: given, in Docker, or out of a wheel."""
    yield from _share("database", request, start_postgres, postgres_at)


@pytest.fixture(scope="session")
def object_store(request: pytest.FixtureRequest) -> Iterator[ObjectStoreService]:
    """A real object storage: given, or SeaweedFS out of a wheel."""
    yield from _share("object storage", request, start_object_store, object_store_at)


@pytest.fixture(scope="session")
def clickhouse_server(request: pytest.FixtureRequest) -> Iterator[ClickhouseService]:
    """A ClickHouse server: given, or in Docker. Its image may be out of reach; ``TEST_CLICKHOUSE=1`` fails then."""
    is_needed = os.environ.get("TEST_CLICKHOUSE") == "1"
    yield from _share("ClickHouse server", request, start_clickhouse, clickhouse_at, is_needed=is_needed)


@pytest.fixture(scope="session", autouse=True)
def _no_embedded_broker_where_there_are_to_be_no_services() -> Iterator[None]:
    """Those that a test makes itself pass by the fixtures."""
    started = EmbeddedBroker.start

    def start(broker: EmbeddedBroker) -> EmbeddedBroker:
        require_permission("an embedded broker")
        return started(broker)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EmbeddedBroker, "start", start)
        yield


@pytest.fixture(scope="session")
def postgres_url(postgres: PostgresService) -> str:
    """One database that all tests share."""
    return postgres.url


@pytest.fixture
def new_postgres_url(postgres: PostgresService) -> str:
    """A database of this test's own."""
    return postgres.new_database()


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """ClickHouse in this process, which has one folder at a time."""
    from tests.consumer.sinks.clickhouse_engine import Engine  # which imports polars

    running = Engine(tmp_path_factory.mktemp("clickhouse") / "engine")
    yield running
    running.end()


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
    """REQUIRE_DOCKER=1 is for runs that leave nothing out but a ClickHouse server: there, other skips are failures."""
    report = yield
    may_skip = hasattr(report, "wasxfail") or "clickhouse_server" in getattr(item, "fixturenames", ())
    if report.skipped and docker_is_required() and not may_skip:
        report.outcome = "failed"
        report.longrepr = f"REQUIRE_DOCKER=1 forbids this skip: {report.longrepr}"
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker tells the controller what it used."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["services"] = session.config.stash[USAGE].report()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take a worker's report; one that crashed left none."""
    node.config.stash[USAGE].merge(getattr(node, "workeroutput", {}).get("services", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.section("services")
    for line in config.stash[USAGE].lines():
        terminalreporter.write_line(line)
