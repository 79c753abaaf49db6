"""The contract: the schemas of the events, their classes, their bytes and their constraints.

Everything here is derived from the ``.avsc`` files in ``avro/<event>/v<version>.avsc``.
"""

from flowise_telemetry_schemas.catalog import Catalog, EventSchema, catalog
from flowise_telemetry_schemas.constraints import Violation, validate, violations
from flowise_telemetry_schemas.envelope import Envelope
from flowise_telemetry_schemas.errors import (
    ConfigurationError,
    DecodeError,
    MissingExtraError,
    SchemaError,
    TelemetryError,
    ValidationError,
)
from flowise_telemetry_schemas.events import (
    AssistantCreated,
    ChatflowCreated,
    Event,
    OriginType,
    PredictionSent,
    ToolCreated,
    VectorUpserted,
)
from flowise_telemetry_schemas.field import Field
from flowise_telemetry_schemas.flow_graph import Edge, FlowGraph
from flowise_telemetry_schemas.json_mapping import event_from_json, event_to_json, record_to_json

__all__ = [
    "AssistantCreated",
    "Catalog",
    "ChatflowCreated",
    "ConfigurationError",
    "DecodeError",
    "Edge",
    "Envelope",
    "Event",
    "EventSchema",
    "Field",
    "FlowGraph",
    "MissingExtraError",
    "OriginType",
    "PredictionSent",
    "SchemaError",
    "TelemetryError",
    "ToolCreated",
    "ValidationError",
    "VectorUpserted",
    "Violation",
    "catalog",
    "event_from_json",
    "event_to_json",
    "record_to_json",
    "validate",
    "violations",
]
