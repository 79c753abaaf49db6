from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flowise_telemetry_cli.commands.audit import audit

ROOT = Path(__file__).parents[3]


def run(path: Path, *options: str) -> Result:
    return CliRunner().invoke(audit, [str(path), *options], standalone_mode=False)


def report(path: Path, *options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(path, "--json", *options).stdout)
    return found


def kinds(found: dict[str, Any]) -> list[str]:
    return [finding["kind"] for finding in found["findings"]]


def write(folder: Path, name: str, source: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    return path


PYTHON = """
import flowise_telemetry
from flowise_telemetry import ToolCreated, ChatflowCreated as Made

def direct(self, tool):
    self.telemetry.send_telemetry(ToolCreated(tool_id=tool.id, tool_name=tool.name.strip()))

def by_module(telemetry, flow):
    telemetry.send_telemetry(event=flowise_telemetry.AssistantCreated(assistant_id=flow))

async def by_name(telemetry, flow):
    event = Made(chatflow_id=flow["id"], flow_graph=graph(flow))
    telemetry.send_telemetry(event)

def by_choice(telemetry, a):
    telemetry.send_telemetry(ToolCreated(tool_id=a, tool_name="a") if a else ToolCreated(tool_id=b, tool_name="b"))
"""


def test_python_calls_are_listed_with_what_fills_their_fields(tmp_path: Path) -> None:
    found = report(write(tmp_path, "app.py", PYTHON))
    assert [(call["event"], call["line"]) for call in found["calls"]] == [
        ("tool_created", 6),
        ("assistant_created", 9),
        ("chatflow_created", 13),
        ("tool_created", 16),
        ("tool_created", 16),
    ]
    assert found["calls"][0]["fields"] == {"toolId": "tool.id", "toolName": "tool.name.strip()"}
    assert found["calls"][2]["fields"] == {"chatflowId": "flow['id']", "flowGraph": "graph(flow)"}
    assert found["findings"] == []


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("def f(t, event):\n    t.send_telemetry(event)", "undetermined"),
        ("t.send_telemetry(event_from_json(document))", "undetermined"),
        ("t.send_telemetry()", "undetermined"),
        ("t.send_telemetry(ToolCreated(**values))", "undetermined"),
        ("t.send_telemetry(ToolCreated(tool_id=a, tool_name=b, prompt=c))", "unknown_property"),
        ("t.send_telemetry(ToolCreated(tool_id=a))", "missing_property"),
        ("event = ToolCreated(tool_id=a, tool_name=b)\ndef f(event):\n    t.send_telemetry(event)", "undetermined"),
        ("import kafka\nkafka.KafkaProducer().send('flowise.telemetry.events', b'')", "raw_client"),
        ("from confluent_kafka import Producer\nTOPIC = 'flowise.telemetry.events'", "raw_client"),
        ("def broken(:", "unreadable"),
        ("x = 1\x00", "unreadable"),
    ],
)
def test_python_that_is_to_be_looked_at_is_flagged(source: str, kind: str, tmp_path: Path) -> None:
    path = write(tmp_path, "app.py", source + "\n")
    assert kinds(report(path)) == [kind]
    assert run(path, "--strict").return_value == 1
    assert run(path).return_value == 0


def test_another_topic_can_be_watched(tmp_path: Path) -> None:
    path = write(tmp_path, "app.py", "import aiokafka\nT = 'theirs'\n")
    assert kinds(report(path)) == []
    assert kinds(report(path, "--topic", "theirs")) == ["raw_client"]


TYPESCRIPT = """
const rest: Record<string, unknown> = {}
export class Service<T> {
    async create(tool: Tool): Promise<void> {
        await app.telemetry.sendTelemetry(
            'tool_created',
            { version: await getAppVersion(), toolId: tool.id, 'toolName': tool.name /* the name */ },
            orgId
        )
    }
}
const shape = { version, chatlowId: id, flowGraph, productId }
sendTelemetry(`chatflow_created`, shape)
"""


@pytest.fixture(scope="module")
def _tree_sitter() -> None:
    for module in ("tree_sitter", "tree_sitter_javascript", "tree_sitter_typescript"):
        pytest.importorskip(module, reason="the extra audit is not installed")


@pytest.mark.usefixtures("_tree_sitter")
@pytest.mark.parametrize("suffix", ["ts", "tsx", "mts"])
def test_typescript_calls_are_listed_too(suffix: str, tmp_path: Path) -> None:
    found = report(write(tmp_path, f"app.{suffix}", TYPESCRIPT))
    tool, flow = found["calls"]
    assert (tool["event"], tool["line"]) == ("tool_created", 5)
    assert tool["fields"] == {"version": "await getAppVersion()", "toolId": "tool.id", "toolName": "tool.name"}
    assert flow["fields"] == {
        "version": "version",
        "chatlowId": "id",
        "flowGraph": "flowGraph",
        "productId": "productId",
    }
    # The spelling of the documentation and what no documentation names.
    assert kinds(found) == ["alias", "unknown_property"]


@pytest.mark.usefixtures("_tree_sitter")
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("t.sendTelemetry('tool_created', { ...tool })", ["undetermined"]),
        ("t.sendTelemetry(name, { toolId: 1 })", ["undetermined"]),
        ("t.sendTelemetry(`${kind}_created`, {})", ["undetermined"]),
        ("t.sendTelemetry('variable_created', { variableType })", ["unknown_event"]),
        ("t.sendTelemetry('tool_created', { toolId })", ["missing_property"]),
        ("t.sendTelemetry('tool_created', made())", ["undetermined"]),
        ("t?.sendTelemetry('tool_created', { toolId, toolName })", []),
        ("t.sendTelemetry()", ["undetermined"]),
        ("// t.sendTelemetry('nothing')", []),
    ],
)
def test_javascript_that_is_to_be_looked_at_is_flagged(source: str, expected: list[str], tmp_path: Path) -> None:
    found = kinds(report(write(tmp_path, "app.js", source)))
    assert list(dict.fromkeys(found)) == expected


def test_folders_of_dependencies_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, "src/app.py", "t.send_telemetry(x)")
    for folder in ("node_modules/a", ".venv/lib", "dist"):
        write(tmp_path, f"{folder}/b.py", "t.send_telemetry(x)")
    write(tmp_path, "src/notes.txt", "send_telemetry(")
    assert report(tmp_path)["files"] == 1


def test_without_the_extra_python_is_read_and_typescript_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flowise_telemetry_cli.commands.audit import javascript

    javascript._parser.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "tree_sitter", None)
    write(tmp_path, "quiet.ts", "export const a = 1")
    write(tmp_path, "app.py", "t.send_telemetry(x)")
    assert len(report(tmp_path)["calls"]) == 1
    write(tmp_path, "app.ts", "sendTelemetry('a')")
    error = run(tmp_path).exception
    assert "pip install 'flowise-telemetry[audit]'" in str(error)
    javascript._parser.cache_clear()


def test_the_list_is_for_people(tmp_path: Path) -> None:
    shown = run(write(tmp_path, "app.py", PYTHON)).stdout
    assert "app.py:6: tool_created" in shown
    assert "    toolName = tool.name.strip()" in shown
    assert "5 calls in 1 files, 0 flagged" in shown


def test_the_examples_of_the_documentation_are_clean() -> None:
    examples = ROOT / "docs" / "examples"
    found = report(examples, "--strict", "--schemas", str(examples / "flowise_3_1" / "events"))
    assert found["findings"] == []
    assert {call["event"] for call in found["calls"]} == {
        "chatflow_created",
        "prediction_sent",
        "tool_created",
        "vector_upserted",
        "agentflow_prediction_sent",
        "custom_mcp_server_created",
        "document_store_created",
        "evaluation_created",
        "variable_created",
    }
