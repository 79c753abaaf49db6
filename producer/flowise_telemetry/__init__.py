"""Pseudonymous usage telemetry for an app: five closed event schemas, a Kafka topic, and an off switch that holds.

    telemetry = Telemetry(app_version="3.0.1")
    telemetry.send_telemetry(ToolCreated(tool_id=tool.id, tool_name=tool.name))

Importing this loads no Kafka client, starts nothing and opens nothing.
"""

import logging
from typing import TYPE_CHECKING, Any

from flowise_telemetry.first_warning import FirstWarning
from flowise_telemetry.stats import DropReason, Stats
from flowise_telemetry.telemetry import Telemetry
from flowise_telemetry_schemas.errors import ConfigurationError, TelemetryError, ValidationError
from flowise_telemetry_schemas.events import (
    AssistantCreated,
    AssistantType,
    ChatflowCreated,
    Event,
    OriginType,
    PredictionSent,
    ToolCreated,
    VectorUpserted,
)
from flowise_telemetry_schemas.flow_graph import Edge, FlowGraph

if TYPE_CHECKING:
    from flowise_telemetry.consent.decision import Consent
    from flowise_telemetry.settings import Limits

    __version__: str

__all__ = [
    "AssistantCreated",
    "AssistantType",
    "ChatflowCreated",
    "ConfigurationError",
    "Consent",
    "DropReason",
    "Edge",
    "Event",
    "FlowGraph",
    "Limits",
    "OriginType",
    "PredictionSent",
    "Stats",
    "Telemetry",
    "TelemetryError",
    "ToolCreated",
    "ValidationError",
    "VectorUpserted",
]

# With it, an app that configures no logging gets the first of our warnings on stderr, not all (logging.lastResort).
logging.getLogger("flowise_telemetry").addHandler(FirstWarning())


if not TYPE_CHECKING:  # a module with __getattr__ has, to type checkers, every name

    def __getattr__(name: str) -> Any:
        # PEP 562: loaded at first use, as most apps use none of it.
        if name == "Consent":
            from flowise_telemetry.consent.decision import Consent

            return Consent
        if name == "Limits":
            from flowise_telemetry.settings import Limits

            return Limits
        if name == "__version__":
            from importlib.metadata import version

            return version("flowise-telemetry")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
