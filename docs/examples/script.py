"""A plain script that sends two events and ends.

    FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS=localhost:9092 python script.py flow.json

``flow.json`` is a flow as the app exports it. Only its nodes' ids and the connections between them are sent.
"""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path

from flowise_telemetry import ChatflowCreated, FlowGraph, OriginType, PredictionSent, Telemetry


def main(path: str) -> None:
    """Report that the flow was created and that it answered once."""
    flow = json.loads(Path(path).read_text(encoding="utf-8"))
    graph = FlowGraph.from_react_flow(flow["nodes"], flow["edges"])
    chatflow_id = str(uuid.uuid4())

    # The end of the block waits for delivery, at most five seconds.
    with Telemetry(app_version="3.0.1") as telemetry:
        telemetry.send_telemetry(ChatflowCreated(chatflow_id=chatflow_id, flow_graph=graph))
        telemetry.send_telemetry(
            PredictionSent(
                chatflow_id=chatflow_id, chat_id=str(uuid.uuid4()), type=OriginType.INTERNAL, flow_graph=graph
            )
        )

    if not telemetry.active:
        sys.stdout.write(f"nothing was sent: {telemetry.consent.decided_by}, or no servers are set\n")
    else:
        stats = telemetry.stats()
        sys.stdout.write(f"sent {stats.sent}, dropped {stats.dropped_events}\n")


if __name__ == "__main__":
    main(sys.argv[1])
