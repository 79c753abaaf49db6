"""The rooms and their one-way doors, the light import, the public names, the size of files."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("architecture")  # on one worker, so that each file is parsed once

ROOT = Path(__file__).parents[1]

# Each room and the rooms that it may import.
DOORS: dict[str, frozenset[str]] = {
    "schemas": frozenset(),
    "transport": frozenset({"schemas"}),
    "producer": frozenset({"schemas", "transport"}),
    "gateway": frozenset({"schemas", "transport", "producer"}),
    "consumer": frozenset({"schemas", "transport"}),
    "report": frozenset({"schemas", "consumer"}),
    "cli": frozenset({"schemas", "transport", "producer", "gateway", "consumer", "report"}),
}
PACKAGES: dict[str, str] = {
    "schemas": "flowise_telemetry_schemas",
    "transport": "flowise_telemetry_transport",
    "producer": "flowise_telemetry",
    "gateway": "flowise_telemetry_gateway",
    "consumer": "flowise_telemetry_consumer",
    "report": "flowise_telemetry_report",
    "cli": "flowise_telemetry_cli",
}
ROOM_OF = {package: room for room, package in PACKAGES.items()}

# One level deeper: each folder of a room and the folders of that room which it may import. What lies at the room's
# root is open to all of them, and imports none of them unless it is listed too.
FOLDERS: dict[str, dict[str, frozenset[str]]] = {
    "producer": {
        "identity": frozenset(),
        "encoding": frozenset({"identity"}),
        "spool": frozenset({"encoding"}),
        "delivery": frozenset({"identity", "encoding", "spool"}),
        "consent": frozenset({"identity", "spool"}),
        "ledger.py": frozenset({"encoding"}),
        "telemetry.py": frozenset({"consent", "encoding", "delivery"}),
    },
    "consumer": {
        "reading": frozenset(),
        "decoding": frozenset(),
        "monitoring": frozenset(),
        "sinks": frozenset({"decoding"}),
        "archives": frozenset({"decoding", "sinks"}),
        "dead_letters": frozenset({"reading", "decoding", "sinks"}),
        "export": frozenset({"sinks"}),
        "loss": frozenset({"sinks"}),
        "replay": frozenset({"reading", "decoding", "sinks", "archives", "export"}),
        "service": frozenset({"reading", "decoding", "monitoring", "sinks", "dead_letters"}),
    },
    "report": {
        "questions": frozenset(),
        "engines": frozenset(),
        "files": frozenset(),
        "page": frozenset(),
        "asking": frozenset({"questions", "engines"}),
        "public": frozenset({"questions", "asking"}),
        "making.py": frozenset({"questions", "engines", "asking", "public"}),
    },
    "gateway": {
        "intake": frozenset(),
        "serving": frozenset({"intake"}),
    },
    "transport": {
        "kafka_python": frozenset(),
        "librdkafka": frozenset({"diagnosis"}),
        "gateway": frozenset({"diagnosis"}),
        "memory": frozenset(),
        "diagnosis": frozenset(),
        "schema_registry": frozenset({"diagnosis"}),
        "clients.py": frozenset({"kafka_python", "librdkafka", "diagnosis"}),
        "embedded.py": frozenset({"librdkafka"}),
        "installed.py": frozenset({"kafka_python", "diagnosis"}),
    },
}

# Libraries that only adapters know, and the folders of the adapters of each. They are optional or slow to load: they
# are imported when they are first needed, never when a module is.
ADAPTERS: dict[str, str] = {
    "kafka": "transport/flowise_telemetry_transport/kafka_python",
    "confluent_kafka": "transport/flowise_telemetry_transport/librdkafka",
    "confluent_kafka.schema_registry": "transport/flowise_telemetry_transport/schema_registry",
    "psycopg": "consumer/flowise_telemetry_consumer/sinks report/flowise_telemetry_report/engines",
    "duckdb": "consumer/flowise_telemetry_consumer/sinks/duckdb report/flowise_telemetry_report/engines",
    "clickhouse_connect": "consumer/flowise_telemetry_consumer/sinks/clickhouse",
    "deltalake": "consumer/flowise_telemetry_consumer/sinks/delta",
    "obstore": "consumer/flowise_telemetry_consumer/sinks/delta",
    "prometheus_client": "consumer/flowise_telemetry_consumer/monitoring gateway/flowise_telemetry_gateway/serving",
    "starlette": "gateway/flowise_telemetry_gateway/serving",
    "uvicorn": "gateway/flowise_telemetry_gateway/serving",
    "jinja2": "report/flowise_telemetry_report/page",
    "rich": "cli/flowise_telemetry_cli/output",
}

# Past this, a file says here what its one idea is, or is split.
MAX_LINES = 300
LONGER = {
    "producer/flowise_telemetry/telemetry.py": "the one object that an app has, and what it says of each argument",
    "transport/flowise_telemetry_transport/kafka_python/reader.py": "one Protocol, over one client",
}

# What others may build on. A name is added or taken away here and in CHANGELOG.md, never by accident.
PUBLIC: dict[str, str] = {
    "flowise_telemetry": """
        AssistantCreated AssistantType ChatflowCreated ConfigurationError Consent DropReason Edge Event FlowGraph
        Limits OriginType PredictionSent Stats Telemetry TelemetryError ToolCreated ValidationError VectorUpserted
    """,
    "flowise_telemetry_schemas": """
        AssistantCreated AssistantType Catalog ChatflowCreated ConfigurationError DecodeError Edge Envelope Event
        EventSchema Field FlowGraph MissingExtraError OriginType PredictionSent SchemaError TelemetryError ToolCreated
        ValidationError VectorUpserted Violation catalog event_from_json event_to_json record_to_json validate
        violations
    """,
    "flowise_telemetry_transport": """
        AuthenticationError AuthorizationError BrokerUnavailableError BufferFullError ClientName CommitRejectedError
        DEFAULT_CLIENT_ID Delivery DeliveryError DeliveryTimeoutError EmbeddedBroker ExpiredOffsets Headers
        InMemoryBroker KafkaSettings MessageTooLargeError OnDelivery OutgoingRecord RebalanceCallback Record
        RecordReader RecordWriter TopicAdmin TopicExistsError TopicPartition TopicSpec TransportError UnknownTopicError
        UnreadableRecordError open_admin open_reader open_writer parse_bootstrap_servers partition_for
    """,
    "flowise_telemetry_gateway": """
        Gateway GatewayCounters GatewayLimits ProjectKeys serve
    """,
    "flowise_telemetry_consumer": """
        BatchLimits Bound Consumer ConsumerCounters ConsumerSettings DeadLetterLimitError DeadLetterLimits
        DeadLetterSummary FencedError IncompleteReadError RecordFilter RedriveResult ReplayCheckpoint
        ReplayRequest ReplayResult RunControl Shard SinkError SinkInUseError SinkUnavailableError
        StoredDeadLetter TopicChangedError UnknownRunError current_dead_letters list_dead_letters list_runs
        open_dead_letter_writer redrive replay
    """,
    "flowise_telemetry_report": """
        Column Figure Report Section
    """,
    "flowise_telemetry_cli": """
        cli main
    """,
}


@cache
def sources() -> dict[Path, ast.Module]:
    """Every source file of the rooms by its path from the root."""
    files = (file for room in DOORS for file in (ROOT / room).rglob("*.py"))
    return {file.relative_to(ROOT): ast.parse(file.read_text(), str(file)) for file in sorted(files)}


def imported(node: ast.AST, file: Path) -> Iterator[str]:
    """The full names of the modules that one import statement names."""
    match node:
        case ast.Import():
            yield from (alias.name for alias in node.names)
        case ast.ImportFrom(level=0, module=str(module)):
            yield module
        case ast.ImportFrom():
            package = file.parts[1 : len(file.parts) - node.level]
            yield ".".join((*package, node.module or ""))


def imports(file: Path, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and module of every import of a file, inside functions too."""
    for node in ast.walk(tree):
        for module in imported(node, file):
            yield getattr(node, "lineno", 0), module


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports_when_loaded(node: ast.AST, file: Path) -> Iterator[tuple[int, str]]:
    """Line and module of the imports that run when the file is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or is_type_checking(child):
            continue
        for module in imported(child, file):
            yield getattr(child, "lineno", 0), module
        yield from imports_when_loaded(child, file)


def top(module: str) -> str:
    return module.partition(".")[0]


def test_every_room_has_sources() -> None:
    assert {file.parts[:2] for file in sources()} == set(PACKAGES.items())


def test_rooms_import_only_through_their_doors() -> None:
    wrong = [
        f"{file}:{line} imports {module}"
        for file, tree in sources().items()
        for line, module in imports(file, tree)
        if (room := ROOM_OF.get(top(module))) and room != file.parts[0] and room not in DOORS[file.parts[0]]
    ]
    assert not wrong


def module_of(file: Path) -> str:
    """The full name of the module that a source file is."""
    parts = file.with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules_imported(tree: ast.Module, file: Path, known: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Line and module of every import of our own modules, inside functions and for type checking too."""
    for node in ast.walk(tree):
        for module in imported(node, file):
            if isinstance(node, ast.ImportFrom):
                inner = {name for alias in node.names if (name := f"{module}.{alias.name}") in known}
                yield from ((node.lineno, name) for name in inner)
                if len(inner) == len(node.names):
                    continue  # only modules are taken out of the package, nothing of its own
            if module in known:
                yield getattr(node, "lineno", 0), module


def test_folders_of_a_room_import_only_through_their_doors() -> None:
    known = frozenset(module_of(file) for file in sources())
    wrong = []
    for file, tree in sources().items():
        room, folder = file.parts[0], file.parts[2]
        doors = FOLDERS.get(room)
        if doors is None or folder == "__init__.py":
            continue
        for line, module in modules_imported(tree, file, known):
            there = module.split(".")[1:2]
            if top(module) != PACKAGES[room] or not there or there[0] not in doors or there[0] == folder:
                continue
            if there[0] not in doors.get(folder, frozenset()):
                wrong.append(f"{file}:{line} imports {module}")
    assert not wrong


def test_the_report_knows_of_the_consumer_its_sinks_alone() -> None:
    known = frozenset(module_of(file) for file in sources())
    wrong = [
        f"{file}:{line} imports {module}"
        for file, tree in sources().items()
        if file.parts[0] == "report"
        for line, module in modules_imported(tree, file, known)
        if top(module) == PACKAGES["consumer"] and module.split(".")[1:2] not in (["sinks"], ["errors"])
    ]
    assert not wrong


@pytest.mark.parametrize("room", FOLDERS)
def test_every_folder_has_its_doors(room: str) -> None:
    folders = {file.parts[2] for file in sources() if file.parts[0] == room and len(file.parts) > 3}
    assert folders == {name for name in FOLDERS[room] if not name.endswith(".py")}


def circles(graph: dict[str, set[str]]) -> list[str]:
    """The circles of a graph, each as the path around it; of each node at most one."""
    found, done = [], set[str]()

    def visit(node: str, path: tuple[str, ...]) -> None:
        if node in path:
            found.append(" -> ".join((*path[path.index(node) :], node)))
        elif node not in done:
            for other in sorted(graph.get(node, ())):
                visit(other, (*path, node))
            done.add(node)

    for node in sorted(graph):
        visit(node, ())
    return found


def test_a_circle_would_be_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == ["b -> c -> b"]


@pytest.mark.parametrize("room", DOORS)
def test_nothing_in_a_room_imports_in_a_circle(room: str) -> None:
    """Neither modules nor the folders that they lie in."""
    known = frozenset(module_of(file) for file in sources())
    modules: dict[str, set[str]] = {}
    folders: dict[str, set[str]] = {}
    for file, tree in sources().items():
        if file.parts[0] != room or (len(file.parts) == 3 and file.name == "__init__.py"):
            continue  # the package's own front collects public names from everywhere
        mine = module_of(file)
        for _, module in modules_imported(tree, file, known):
            if top(module) == PACKAGES[room] and module not in (mine, PACKAGES[room]):
                modules.setdefault(mine, set()).add(module)
                here, there = mine.split(".")[1], module.split(".")[1]
                if here != there:
                    folders.setdefault(here, set()).add(there)
    assert circles(modules) == []
    assert circles(folders) == []


def test_only_adapters_know_their_library() -> None:
    wrong = [
        f"{file}:{line} imports {module}"
        for file, tree in sources().items()
        for line, module in imports(file, tree)
        if (folders := ADAPTERS.get(module) or ADAPTERS.get(top(module)))
        and not any(map(file.is_relative_to, folders.split()))
    ]
    assert not wrong


def test_adapters_import_their_library_when_it_is_needed() -> None:
    wrong = [
        f"{file}:{line} imports {module} when it is loaded"
        for file, tree in sources().items()
        for line, module in imports_when_loaded(tree, file)
        if top(module) in ADAPTERS
    ]
    assert not wrong


def test_only_the_service_knows_polars() -> None:
    wrong = [
        f"{file}:{line} imports {module}"
        for file, tree in sources().items()
        for line, module in imports(file, tree)
        if top(module) == "polars" and file.parts[0] != "consumer"
    ]
    assert not wrong


@pytest.mark.parametrize("package", ["flowise_telemetry", "flowise_telemetry_schemas", "flowise_telemetry_transport"])
def test_what_an_app_imports_is_light(package: str) -> None:
    heavy = {
        "kafka",
        "confluent_kafka",
        "polars",
        "psycopg",
        "psycopg_binary",
        "duckdb",
        "clickhouse_connect",
        "deltalake",
        "obstore",
        "sqlite3",
        "click",
    }
    heavy |= {"fastavro", "dotenv", "importlib.resources"}
    code = f"import sys, {package}; print(*sorted(set(sys.modules) & {heavy!r}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, cwd=ROOT
    )
    assert loaded.stdout.split() == []


def test_files_hold_one_idea() -> None:
    lines = {str(file): len((ROOT / file).read_text().splitlines()) for file in sources()}
    long = {file: count for file, count in lines.items() if count > MAX_LINES and file not in LONGER}
    assert not long, "what is the second idea? It wants a file of its own"


@pytest.mark.parametrize("package", PUBLIC)
def test_public_names_are_these(package: str) -> None:
    module = importlib.import_module(package)
    assert sorted(module.__all__) == sorted(PUBLIC[package].split())
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
