"""The contract: the schemas of the events, their classes, their bytes and their constraints.

Everything here is derived from the ``.avsc`` files in ``avro/<event>/v<version>.avsc``. A name's module is loaded when
the name is first used (PEP 562): an app that imports the producer waits for the event classes and nothing else.
"""

import importlib
from typing import TYPE_CHECKING, Any

# Imported at once: otherwise the import system would later put the submodule of this name in the function's place.
from flowise_telemetry_schemas.catalog import catalog

if TYPE_CHECKING:
    from flowise_telemetry_schemas.catalog import Catalog
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
    from flowise_telemetry_schemas.event_schema import EventSchema
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
    from flowise_telemetry_schemas.field import Field
    from flowise_telemetry_schemas.flow_graph import Edge, FlowGraph
    from flowise_telemetry_schemas.json_mapping import event_from_json, event_to_json, record_to_json

__all__ = [
    "AssistantCreated",
    "AssistantType",
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

_NAMES = {
    "catalog": ("Catalog",),
    "constraints": ("Violation", "validate", "violations"),
    "envelope": ("Envelope",),
    "errors": (
        "ConfigurationError",
        "DecodeError",
        "MissingExtraError",
        "SchemaError",
        "TelemetryError",
        "ValidationError",
    ),
    "event_schema": ("EventSchema",),
    "field": ("Field",),
    "flow_graph": ("Edge", "FlowGraph"),
    "json_mapping": ("event_from_json", "event_to_json", "record_to_json"),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # The names of the event classes are generated: any name that is not listed is one of them.
    return getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, 'events')}"), name)
