"""The other calls of the model app's release 3.1, where it makes them.

    FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS=localhost:9092 python app.py flow.json

``flow.json`` is an agentflow as the app exports it.
"""

from __future__ import annotations

import sys
import uuid
from pathlib import Path

from events_3_1 import (
    AgentflowPredictionSent,
    CustomMcpServerCreated,
    DocumentStoreCreated,
    EvaluationCreated,
    OriginType,
    VariableCreated,
    VariableType,
)

from flowise_telemetry import FlowGraph, Telemetry

EVENTS = Path(__file__).with_name("events")


def report(telemetry: Telemetry, flow_data: str) -> None:
    """Report one of each; ``flow_data`` is the agentflow's JSON, as the app stores it."""
    telemetry.send_telemetry(VariableCreated(variable_type=VariableType("runtime".upper())))
    telemetry.send_telemetry(CustomMcpServerCreated(tool_id=str(uuid.uuid4()), tool_name="issue_tracker"))
    telemetry.send_telemetry(DocumentStoreCreated())
    telemetry.send_telemetry(EvaluationCreated())
    telemetry.send_telemetry(
        AgentflowPredictionSent(
            agentflow_id=str(uuid.uuid4()),
            chat_id=str(uuid.uuid4()),
            type=OriginType.EXTERNAL,
            flow_graph=FlowGraph.from_react_flow(flow_data),
        )
    )


def main(path: str) -> None:
    """Report one of each, and say how many were sent."""
    with Telemetry(app_version="3.1.0", schemas=EVENTS) as telemetry:
        report(telemetry, Path(path).read_text(encoding="utf-8"))
    sys.stdout.write(f"sent {telemetry.stats().sent}\n")


if __name__ == "__main__":
    main(sys.argv[1])
