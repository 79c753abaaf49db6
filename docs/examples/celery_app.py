"""Background work with Celery: the parent creates the ``Telemetry``, the prefork workers send.

    FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS=localhost:9092 celery --app celery_app worker --concurrency 2

The fork needs no code. A worker that ends has a second to deliver.
"""

from __future__ import annotations

import os

from celery import Celery

from flowise_telemetry import FlowGraph, OriginType, Telemetry, VectorUpserted

app = Celery("example", broker=os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0"))
telemetry = Telemetry(app_version="3.0.1")


@app.task
def upsert(chatflow_id: str, nodes: list[dict[str, object]], edges: list[dict[str, object]], store: str) -> None:
    """Write documents to a vector store, and report it."""
    telemetry.send_telemetry(
        VectorUpserted(
            chatflow_id=chatflow_id,
            type=OriginType.INTERNAL,
            flow_graph=FlowGraph.from_react_flow(nodes, edges),
            stop_node_id=store,
        )
    )
