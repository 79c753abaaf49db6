"""Events of an app's own, as the example brings them: sent, consumed, replayed, redriven, exported and erased."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry import Telemetry
from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_consumer import Consumer, ConsumerSettings
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_schemas import Catalog, catalog
from flowise_telemetry_schemas.class_text import own_event_classes
from flowise_telemetry_schemas.disclosure import own_disclosure
from flowise_telemetry_schemas.own_events import OwnEvents, read_own_events
from flowise_telemetry_transport import InMemoryBroker, TopicSpec
from tests.cli.in_process import run_command
from tests.cli.program import Finished
from tests.consumer.world import DLQ, GROUP, TOPIC, FakeClock, InstantReader, SameThread, StopWhen

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "flowise_3_1"
FLOW = json.dumps({
    "nodes": [{"id": "startAgentflow_0"}, {"id": "agentAgentflow_0"}, {"id": "ourSecretNode_0"}],
    "edges": [{"source": "startAgentflow_0", "target": "agentAgentflow_0"}],
})  # fmt: skip
ONE_OF_EACH = dict.fromkeys(
    (
        "agentflow_prediction_sent",
        "custom_mcp_server_created",
        "document_store_created",
        "evaluation_created",
        "variable_created",
    ),
    1,
)


def renewed(folder: Path) -> Path:
    """The example's events, which end some day, for another year."""
    events = folder / "own"
    shutil.copytree(EXAMPLE / "events", events)
    end = (datetime.now(UTC) + timedelta(days=365)).date()
    for terms in events.glob("*/event.toml"):
        terms.write_text(re.sub(r"expires = .*", f"expires = {end}", terms.read_text()))
    return events


def app() -> Any:
    """The example's module, imported as a script imports what lies beside it."""
    for name in ("events_3_1", "app"):
        spec = importlib.util.spec_from_file_location(name, EXAMPLE / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    del sys.modules["app"], sys.modules["events_3_1"]
    return module


class Pipeline:
    """A topic that the example has reported to once, and the commands around it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events = renewed(folder)
        self.clock = FakeClock()
        self.broker = InMemoryBroker(now_ms=self.clock.now_ms)
        for topic in (TOPIC, DLQ):
            self.broker.open_admin().create_topic(TopicSpec(topic, 1))
        self.telemetry = Telemetry(
            app_version="3.1.0",
            schemas=self.events,
            topic=TOPIC,
            writer_factory=self.broker.open_writer,
            environ={"FLOWISE_TELEMETRY_CONFIG_DIR": str(folder / "config")},
            env_file=os.devnull,
        )
        app().report(self.telemetry, FLOW)
        self.telemetry.close(timeout_seconds=30.0)

    def consume(self, sink: str, schemas: Catalog) -> Consumer:
        """Consume the whole topic: five events and what their stream tells."""
        reader = InstantReader(self.broker, GROUP, self.clock)
        consumer = Consumer(
            reader,
            open_sink(sink),
            self.broker.open_writer(),
            schemas,
            ConsumerSettings(topic=TOPIC, group=GROUP),
            clock=self.clock,
            sink_thread=SameThread(),
        )
        consumer.run(StopWhen(lambda: 6 in self.broker.group(GROUP).committed.values()))
        reader.close()
        return consumer

    def run(self, *arguments: str, own: bool = True) -> Finished:
        invocation = Invocation(
            open_reader=lambda settings, **options: InstantReader(self.broker, None, self.clock),
            open_writer=lambda settings, **options: self.broker.open_writer(),
            open_admin=lambda settings: self.broker.open_admin(),
            clock=self.clock,
        )
        environ = {"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "nowhere:1", "FLOWISE_TELEMETRY_TOPIC": TOPIC}
        if own:
            environ["FLOWISE_TELEMETRY_SCHEMAS"] = "own"
        return run_command(*arguments, folder=self.folder, env=environ, invocation=invocation)

    def rows(self, name: str, event: str) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(self.folder / name)) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(f"SELECT * FROM {event}")]

    def counts(self, name: str) -> dict[str, int]:
        return {event: len(self.rows(name, event)) for event in ONE_OF_EACH}


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


@pytest.fixture
def own(tmp_path: Path) -> OwnEvents:
    return read_own_events(renewed(tmp_path))


def test_what_is_generated_is_up_to_date(own: OwnEvents) -> None:
    assert (EXAMPLE / "events_3_1.py").read_text() == own_event_classes(own.schemas)
    written = re.sub(r"Ends with [-0-9]+", "", (EXAMPLE / "TELEMETRY.md").read_text())
    assert written == re.sub(r"Ends with [-0-9]+", "", own_disclosure(own.schemas))


def test_the_example_is_sent_consumed_and_replayed(pipeline: Pipeline) -> None:
    stats = pipeline.telemetry.stats()
    assert (stats.sent, stats.dropped) == (5, {})
    assert stats.withheld == {"agentflow_prediction_sent.flowGraph.nodes: unknown_type": 1}
    sink = f"sqlite:///{pipeline.folder}/live.db"
    consumer = pipeline.consume(sink, read_own_events(pipeline.events).catalog)
    assert (dict(+consumer.counters.written), consumer.counters.dead.total()) == (ONE_OF_EACH, 0)
    (prediction,) = pipeline.rows("live.db", "agentflow_prediction_sent")
    graph = json.loads(prediction["flow_graph"])
    assert (prediction["type"], graph["nodes"]) == ("EXTERNAL", ["startAgentflow_0", "agentAgentflow_0", "other_0"])
    assert [row["variable_type"] for row in pipeline.rows("live.db", "variable_created")] == ["RUNTIME"]
    assert [row["tool_name"] for row in pipeline.rows("live.db", "custom_mcp_server_created")] == ["issue_tracker"]

    replayed = pipeline.run("replay", "--sink", "sqlite:///copy.db", "--json")
    assert (replayed.status, pipeline.counts("copy.db")) == (0, ONE_OF_EACH), replayed.stderr
    for event in ONE_OF_EACH:
        assert pipeline.rows("copy.db", event) == pipeline.rows("live.db", event)
    counted = json.loads(pipeline.run("loss", "--sink", "sqlite:///live.db", "--json").stdout)
    assert (counted["numbered"], counted["written"], counted["unexplained"]) == (5, 5, 0)


def test_a_consumer_without_the_folder_files_dead_letters_that_are_redriven(pipeline: Pipeline) -> None:
    consumer = pipeline.consume(f"sqlite:///{pipeline.folder}/live.db", catalog())
    assert +consumer.counters.dead == Counter(unknown_fingerprint=5)
    named = pipeline.run("dlq", "list", "--event", "variable_created", "--json", own=False)
    assert (named.status, "there is no event" in named.stderr) == (2, True), named.stderr
    command = ("dlq", "redrive", "--sink", "sqlite:///live.db", "--json")
    without = json.loads(pipeline.run(*command, own=False).stdout)
    assert (without["written"], without["still_bad"]) == ({}, {"unknown_fingerprint": 5})
    shown = pipeline.run("dlq", "show", "--max", "1")
    assert "decoded as variable_created v1" in shown.stdout
    done = pipeline.run(*command)
    assert (done.status, json.loads(done.stdout)["written"]) == (0, ONE_OF_EACH), done.stderr
    assert pipeline.counts("live.db") == ONE_OF_EACH


def test_what_a_sink_holds_is_exported_imported_and_erased(pipeline: Pipeline) -> None:
    pipeline.consume(f"sqlite:///{pipeline.folder}/live.db", read_own_events(pipeline.events).catalog)
    exported = pipeline.run("export", "--sink", "sqlite:///live.db", "--out", "files", "--json")
    rows = json.loads(exported.stdout)["rows"]
    assert {event: rows[event] for event in rows if rows[event]} == {**ONE_OF_EACH, "stream_state": 1}
    for source in ("files", "sqlite:///live.db"):
        target = f"{source.replace(':', '').replace('/', '')}.jsonl"
        back = pipeline.run("replay", "--source", source, "--sink", f"jsonl:///{target}")
        assert back.status == 0, back.stderr
        lines = (pipeline.folder / target).read_text().splitlines()
        assert Counter(json.loads(line)["event"] for line in lines) >= Counter(ONE_OF_EACH)
    done = pipeline.run("import", target, "--sink", "sqlite:///back.db")
    assert (done.status, pipeline.counts("back.db")) == (0, ONE_OF_EACH), done.stderr
    (row,) = pipeline.rows("live.db", "document_store_created")
    erasing = ("erase", "--sink", "sqlite:///live.db", "--instance-id", row["instance_id"], "--json")
    unaware = pipeline.run(*erasing, own=False)
    assert (unaware.status, json.loads(unaware.stdout)["unknown_tables"]) == (3, sorted(ONE_OF_EACH))
    assert unaware.errors[-1].startswith(
        "error: incomplete: no schema here is of agentflow_prediction_sent, custom_mcp"
    )
    erased = pipeline.run(*erasing, "--yes")
    assert json.loads(erased.stdout)["erased"] == {**ONE_OF_EACH, "stream_state": 1}
    pipeline.run("replay", "--sink", "sqlite:///live.db")
    assert sum(pipeline.counts("live.db").values()) == 0
