"""``docs/examples/node``: the package sends what the schemas name, and nothing while it is off."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry_schemas import catalog
from flowise_telemetry_schemas.envelope import ENVELOPE_FIELDS
from tests.gateway.conftest import ID, KEY, MakeGateway, World
from tests.gateway.sending import decoded

PACKAGE = Path(__file__).parents[2] / "docs" / "examples" / "node"
APP = """
const { sendTelemetry, flush, stats } = require(process.argv[2])
const cached = (name) => Object.keys(require.cache).some((file) => file.endsWith(name))
const { calls, off } = JSON.parse(process.argv[3])
for (const call of calls) sendTelemetry(...call)
if (off) process.env.DO_NOT_TRACK = 'yes'
const report = (flushed) => console.log(JSON.stringify({ flushed, ...stats(), loaded: cached('client.cjs') }))
flush(30000).then(report)
"""
SECRET = "sk-live-of-jane"


def run(calls: list[Any], variables: dict[str, str], *, off: bool = False) -> tuple[dict[str, Any], str]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    ran = subprocess.run(
        [node, "-e", APP, "app", str(PACKAGE), json.dumps({"calls": calls, "off": off})],
        env={"PATH": os.environ["PATH"], "FLOWISE_TELEMETRY_PROJECT_KEY": KEY, **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(ran.stdout), ran.stderr


def calls(*orgs: str | None) -> list[Any]:
    """One call of each event, with more than the schemas name."""
    node = {"id": "chatOpenAI_0", "data": {"prompt": SECRET}}
    edge = {"source": "chatOpenAI_0", "target": "llmChain_0", "data": SECRET}
    common = {"version": "3.0.1", "productId": SECRET, "other": SECRET}
    flow = {**common, "flowGraph": {"nodes": [node, "llmChain_0"], "edges": [edge], "viewport": SECRET}}
    return [
        call
        for org in orgs
        for call in (
            ["assistant_created", {**common, "assistantId": ID}, org],
            ["chatflow_created", {**flow, "chatflowId": ID}, org],
            ["prediction_sent", {**flow, "chatlowId": ID, "chatId": ID, "type": "INTERNAL"}, org],
            ["tool_created", {**common, "toolId": ID, "toolName": "get_weather"}, org],
            ["vector_upserted", {**flow, "chatflowId": ID, "type": "EXTERNAL", "stopNodeId": ""}, org],
        )
    ]


def at(world: World) -> dict[str, str]:
    return {"FLOWISE_TELEMETRY_ENDPOINT": f"http://127.0.0.1:{world.port}/"}


def test_what_it_may_send_is_what_the_schemas_name() -> None:
    listed = json.loads((PACKAGE / "events.json").read_text())
    schemas = [catalog().latest(event) for event in catalog().events]
    assert listed == {
        schema.event: [field.name for field in schema.fields if field.name not in ENVELOPE_FIELDS] for schema in schemas
    }
    declared = (PACKAGE / "index.d.ts").read_text()
    assert not [name for names in listed.values() for name in names if f"{name}:" not in declared.replace("?:", ":")]


def test_every_event_arrives_once_and_nothing_beside_it(make_gateway: MakeGateway) -> None:
    world = make_gateway()
    wrong = [["sk-live", {}, "o"], ["tool_created", None, "o"], ["__proto__", {}, "o"], [None, None, None]]
    told, said = run([*calls("org-1", "org-2", None, None), *wrong], at(world))
    assert told == {"flushed": True, "accepted": 20, "sent": 20, "dropped": 4, "waiting": 0, "loaded": True}
    assert said == ""
    assert world.telemetry.flush(30.0)
    found = decoded(world)
    assert len(found) == len({fields["eventId"] for _, fields in found}) == 20
    assert {event for event, _ in found} == set(catalog().events)
    assert len({fields["instanceId"] for _, fields in found}) == 3, "of no organisation: the process"
    graph = {"nodes": ["chatOpenAI_0", "llmChain_0"], "edges": [{"source": "chatOpenAI_0", "target": "llmChain_0"}]}
    assert [fields["flowGraph"] for _, fields in found if "flowGraph" in fields] == [graph] * 12
    assert world.counters.unknown_properties == world.counters.invalid_events == 0, "nothing else was sent"


def test_while_it_is_off_nothing_is_loaded(make_gateway: MakeGateway) -> None:
    world = make_gateway()
    nothing = {"flushed": True, "accepted": 0, "sent": 0, "dropped": 0, "waiting": 0, "loaded": False}
    assert run(calls("org"), {**at(world), "DO_NOT_TRACK": "1"}) == (nothing, "")
    assert run(calls("org"), {}) == (nothing, "")
    told, said = run(calls("org"), {"FLOWISE_TELEMETRY_ENDPOINT": "http://telemetry.example.org"})
    assert (told, said) == (nothing, "telemetry: FLOWISE_TELEMETRY_ENDPOINT must be https://host; nothing is sent\n")
    told, _ = run(calls("org"), at(world), off=True)
    assert (told["sent"], told["dropped"], told["waiting"]) == (0, 5, 0), "switched off while they wait"
    assert world.counters.requests.total() == 0


def test_a_key_that_is_not_taken_keeps_the_events(make_gateway: MakeGateway) -> None:
    world = make_gateway()
    told, said = run(calls("org"), {**at(world), "FLOWISE_TELEMETRY_PROJECT_KEY": "an-unknown-project-key"})
    assert (told["flushed"], told["waiting"], told["dropped"]) == (False, 5, 0)
    assert said == "telemetry: the gateway does not take the project key; events wait\n"
