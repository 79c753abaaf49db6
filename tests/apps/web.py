"""The WSGI app that the servers run: one event for each request, and one of posthog-python where a server is named.

``/send/NUMBER`` sends; ``/ping`` answers. APP_SENDS_FIRST: the module, which a server may load before it forks, sends.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable
from typing import Any

from flowise_telemetry import Telemetry, ToolCreated

telemetry = Telemetry(app_version="3.0.1")
posthog: Any = None
if os.environ.get("APP_POSTHOG"):
    posthog = importlib.import_module("posthog").Posthog("phc_apps", host=os.environ["APP_POSTHOG"], disable_geoip=True)


def send(number: int) -> None:
    telemetry.send_telemetry(ToolCreated(tool_id=f"0e0f0a0b-1c2d-4e3f-8a9b-{number:012x}", tool_name="a_tool"))
    if posthog is not None:
        posthog.capture("tool_created", distinct_id="an_app", properties={"number": number})


if os.environ.get("APP_SENDS_FIRST"):
    send(0)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] != "/ping":
        send(int(environ["PATH_INFO"].rpartition("/")[2]))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
