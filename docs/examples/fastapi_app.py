"""A web app with FastAPI: one ``Telemetry`` for the app, closed when the app shuts down.

    FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS=localhost:9092 uvicorn fastapi_app:app

Safe with several workers, forked or spawned: each has its own stream.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from pydantic import BaseModel

from flowise_telemetry import FlowGraph, OriginType, PredictionSent, Telemetry, ToolCreated


class NewTool(BaseModel):
    """A tool to create."""

    name: str
    description: str


class Question(BaseModel):
    """A question, and the flow that should answer it."""

    text: str
    flow: dict[str, list[dict[str, Any]]]


def create_app(telemetry: Telemetry | None = None) -> FastAPI:
    """Return the app. A test passes the ``telemetry`` of a ``TelemetryRecorder``."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.telemetry = telemetry or Telemetry(app_version="3.0.1")
        yield
        # close waits for Kafka, so keep it off the event loop.
        await asyncio.to_thread(app.state.telemetry.close, timeout_seconds=2.0)

    app = FastAPI(lifespan=lifespan)

    @app.post("/tools")
    async def create_tool(tool: NewTool, request: Request) -> dict[str, str]:
        tool_id = str(uuid.uuid4())
        # Takes about a microsecond and never raises, so a coroutine may call it. The description is not sent.
        request.app.state.telemetry.send_telemetry(ToolCreated(tool_id=tool_id, tool_name=tool.name))
        return {"id": tool_id}

    @app.post("/flows/{flow_id}/prediction")
    async def predict(flow_id: uuid.UUID, question: Question, request: Request) -> dict[str, str]:
        request.app.state.telemetry.send_telemetry(
            PredictionSent(
                chatflow_id=str(flow_id),
                chat_id=str(uuid.uuid4()),
                type=OriginType.EXTERNAL,
                flow_graph=FlowGraph.from_react_flow(question.flow["nodes"], question.flow["edges"]),
            )
        )
        return {"answer": f"You asked: {question.text}"}

    return app


app = create_app()
