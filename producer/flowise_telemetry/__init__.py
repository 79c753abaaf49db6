"""Anonymous usage telemetry for an app: five closed event schemas onto a Kafka topic, and an off switch that is kept.

    telemetry = Telemetry(app_version="3.0.1")
    telemetry.send_telemetry(ToolCreated(tool_id=tool.id, tool_name=tool.name))

Importing this loads no Kafka client, starts nothing and opens nothing.
"""

import logging

from flowise_telemetry.consent import Consent
from flowise_telemetry.settings import Limits
from flowise_telemetry.stats import DropReason, Stats
from flowise_telemetry.telemetry import Telemetry
from flowise_telemetry_schemas.errors import ConfigurationError, TelemetryError, ValidationError
from flowise_telemetry_schemas.events import (
    AssistantCreated,
    ChatflowCreated,
    Event,
    OriginType,
    PredictionSent,
    ToolCreated,
    VectorUpserted,
)
from flowise_telemetry_schemas.flow_graph import Edge, FlowGraph

__all__ = [
    "AssistantCreated",
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

# An app without logging of its own would otherwise get our warnings on stderr.
logging.getLogger("flowise_telemetry").addHandler(logging.NullHandler())
