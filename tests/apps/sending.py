"""How the programs send: ``send(number)`` is one event, and one of posthog-python where a server is named.

APP_SENDS_FIRST: event 0 is sent at the import, which servers do before they fork.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from flowise_telemetry import Telemetry, ToolCreated

__all__ = ["send", "telemetry"]

telemetry = Telemetry(app_version="3.0.1", flush_on_sigterm=bool(os.environ.get("APP_FLUSHES_ON_SIGTERM")))
posthog: Any = None
if os.environ.get("APP_POSTHOG"):
    posthog = importlib.import_module("posthog").Posthog("phc_apps", host=os.environ["APP_POSTHOG"], disable_geoip=True)


def send(number: int) -> None:
    telemetry.send_telemetry(ToolCreated(tool_id=f"0e0f0a0b-1c2d-4e3f-8a9b-{number:012x}", tool_name="a_tool"))
    if posthog is not None:
        posthog.capture("tool_created", distinct_id="an_app", properties={"number": number})


if os.environ.get("APP_SENDS_FIRST"):
    send(0)
