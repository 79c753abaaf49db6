"""Step 4: a flow as the app has it, next to the record that leaves; and what cannot leave."""

from __future__ import annotations

import json
import tempfile
from typing import Any

from flowise_telemetry import ChatflowCreated, FlowGraph, ToolCreated, ValidationError
from flowise_telemetry.encoding.preview import Preview, preview
from flowise_telemetry_cli.commands.demo.app import APP_VERSION
from flowise_telemetry_cli.commands.demo.narration import Narration
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_schemas import event_from_json

__all__ = ["TITLE", "show_what_leaves"]

TITLE = "A field that leaves, and one that cannot"

PROMPT = "Jane's payroll: never mention the merger."
API_KEY = "sk-example-9f2c41d07be8a6"
CUSTOM_NODE = "janesPayrollChain"
PLAIN_NAME = "get_weather"
SECRET_NAME = "sk_example_4f9c2b7d81e6a05c3f7b"  # noqa: S105 - invented, to be withheld
EMAIL = "jane@example.com"

FLOW: dict[str, Any] = {
    "nodes": [
        {"id": "chatOpenAI_0", "data": {"inputs": {"apiKey": API_KEY, "temperature": 0.2}}},
        {"id": f"{CUSTOM_NODE}_0", "data": {"label": "Payroll", "inputs": {"systemMessage": PROMPT}}},
    ],
    "edges": [{"source": "chatOpenAI_0", "target": f"{CUSTOM_NODE}_0"}],
}
_LINE = 70
_ID = "0b7ac60e-51a4-4bb5-a6a5-f1ae0fd1cf8f"


def show_what_leaves(narration: Narration) -> None:
    """Print the flow, the record, a name that is withheld, and the refusal of a field that no schema has."""
    narration.begin(
        TITLE,
        done="a flow with a prompt, an API key and a node that someone made, all invented, goes through the encoder "
        "that an app uses. Then a tool whose name looks like a key, and an event with a field too many.",
        look="flowGraph: it tells that two nodes are connected, and only the type that every app has by its name. "
        "The prompt, the key and the name janesPayrollChain are not there.",
    )
    graph = FlowGraph.from_react_flow(FLOW["nodes"], FLOW["edges"])
    flow = _preview(ChatflowCreated(chatflow_id=_ID, flow_graph=graph))
    narration.say("The flow, as the app has it:")
    narration.show(_lines(FLOW))
    narration.go_on(f"The whole record that leaves, {len(flow.value)} bytes:")
    narration.show(_lines(dict(flow.record)))
    narration.go_on("A tool's name leaves if it looks like a function's; one that looks like a key is withheld:")
    plain, tool = (_preview(ToolCreated(tool_id=_ID, tool_name=name)) for name in (PLAIN_NAME, SECRET_NAME))
    rows = [(name, json.dumps(its.record["toolName"])) for name, its in ((PLAIN_NAME, plain), (SECRET_NAME, tool))]
    narration.show(table(("as the app has it", "as it leaves"), rows))
    narration.go_on(
        'An event with a field "userEmail", which its schema does not have, is refused. The message repeats neither '
        "the field's name nor its value, as both may be private:"
    )
    refused = _refusal()
    narration.show(refused or "it was taken")
    leaked = [text for text in (PROMPT, API_KEY, CUSTOM_NODE, SECRET_NAME) if _is_in(text, flow, tool)]
    kept_to_itself = refused is not None and EMAIL not in refused
    wanted = "{} of 4 private texts left; the tool {} left; the field too many was {}"
    narration.compare(
        wanted.format(0, PLAIN_NAME, "refused"),
        wanted.format(len(leaked), plain.record["toolName"], "refused" if kept_to_itself else "not refused"),
    )


def _preview(event: ChatflowCreated | ToolCreated) -> Preview:
    with tempfile.TemporaryDirectory() as config:  # an installation that nobody has
        return preview(event, app_version=APP_VERSION, environ={"FLOWISE_TELEMETRY_CONFIG_DIR": config})


def _is_in(text: str, *previews: Preview) -> bool:
    return any(text.encode() in shown.value or text in json.dumps(dict(shown.record)) for shown in previews)


def _refusal() -> str | None:
    properties = {"toolId": _ID, "toolName": "get_weather", "userEmail": EMAIL}
    try:
        event_from_json({"event": "tool_created", "properties": properties})
    except ValidationError as error:
        return str(error)
    return None


def _lines(document: dict[str, Any]) -> str:
    """Return the document as indented names and values, and the parts of a graph in a line each where they fit."""
    return "\n".join(line for name, value in document.items() for line in _field(name, value))


def _field(name: str, value: Any, indent: str = "") -> list[str]:
    text = json.dumps(value)
    if not isinstance(value, dict | list) or len(indent) + len(name) + len(text) <= _LINE:
        return [f"{indent}{name}: {text}"]
    inner = indent + "  "
    if isinstance(value, dict):
        return [f"{indent}{name}:", *(line for key, its in value.items() for line in _field(key, its, inner))]
    return [f"{indent}{name}:", *(line for item in value for line in _item(item, inner))]


def _item(item: Any, indent: str) -> list[str]:
    (first, value), *rest = item.items()
    lines = [*_field(first, value, indent), *(line for key, its in rest for line in _field(key, its, indent + "  "))]
    return [f"{indent}- {lines[0].lstrip()}", *lines[1:]]
