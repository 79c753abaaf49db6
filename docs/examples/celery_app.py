"""Background work with Celery: the ``Telemetry`` is made in the parent, the prefork workers send.

    FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS=localhost:9092 celery --app celery_app worker --concurrency 2

Nothing has to be done for the fork. A worker that ends delivers within its second.
"""

from __future__ import annotations

import os

from celery import Celery

from flowise_telemetry import FlowGraph, OriginType, Telemetry, VectorUpserted

app = Celery("example", broker=os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0"))
telemetry = Telemetry(app_version="3.0.1")


@app.task
def upsert(chatflow_id: str, nodes: list[dict[str, object]], edges: list[dict[str, object]], store: str) -> None:
    """Writes documents to a vector store, and says that it did."""
    telemetry.send_telemetry(
        VectorUpserted(
            chatflow_id=chatflow_id,
            type=OriginType.INTERNAL,
            flow_graph=FlowGraph.from_react_flow(nodes, edges),
            stop_node_id=store,
        )
    )
