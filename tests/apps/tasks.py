"""The Celery app: one event for each task, and one of posthog-python where a server is named. No server is needed."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from celery import Celery  # type: ignore[import-untyped]

from flowise_telemetry import Telemetry, ToolCreated

telemetry = Telemetry(app_version="3.0.1")
posthog: Any = None
if os.environ.get("APP_POSTHOG"):
    posthog = importlib.import_module("posthog").Posthog("phc_apps", host=os.environ["APP_POSTHOG"], disable_geoip=True)

app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": "queue",
    "data_folder_out": "queue",
    "control_folder": "control",
}


@app.task  # type: ignore[untyped-decorator]
def work(number: int) -> None:
    telemetry.send_telemetry(ToolCreated(tool_id=f"0e0f0a0b-1c2d-4e3f-8a9b-{number:012x}", tool_name="a_tool"))
    if posthog is not None:
        posthog.capture("tool_created", distinct_id="an_app", properties={"number": number})
    (Path("done") / str(number)).touch()
