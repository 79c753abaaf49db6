"""A schema registry, looked at: does it answer this login, and does it have the schemas?"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from flowise_telemetry_schemas.errors import SchemaError, TelemetryError
from flowise_telemetry_schemas.event_schema import EventSchema
from flowise_telemetry_transport.diagnosis.finding import Finding, failed, ok, warning
from flowise_telemetry_transport.schema_registry.registry import Registry
from flowise_telemetry_transport.schema_registry.settings import RegistrySettings
from flowise_telemetry_transport.schema_registry.subjects import schema_json, subject_of

__all__ = ["look_at_registry"]

_NAME = "schema registry"


def look_at_registry(
    settings: RegistrySettings, topic: str, schemas: Collection[EventSchema], *, seconds: float
) -> Iterator[Finding]:
    """Yield whether it can be used, and which of the schemas it does not have. Nothing is registered."""
    registry = Registry(replace(settings, timeout_seconds=min(settings.timeout_seconds, seconds / 4)))
    missing = []
    try:
        for schema in schemas:
            try:
                registry.id_of(subject_of(topic, schema), schema_json(schema))
            except SchemaError:
                missing.append(f"{schema.event} v{schema.version}")
    except TelemetryError as error:
        yield failed(_NAME, error)
        return
    finally:
        registry.close()
    says = f"{settings.shown_url} answers"
    if missing:
        without = f"{says}, and does not have {', '.join(missing)}: these are sent without its ids"
        yield warning(_NAME, without, "flowise-telemetry schemas register")
    else:
        yield ok(_NAME, f"{says}, and has all {len(schemas)} schemas")
