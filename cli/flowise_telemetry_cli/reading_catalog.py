"""The catalog of the commands that read records: with the schema registry that the environment names, if any."""

from __future__ import annotations

import os

from flowise_telemetry_schemas import Catalog
from flowise_telemetry_schemas.registered_schemas import with_registry
from flowise_telemetry_transport.schema_registry.registry import Registry
from flowise_telemetry_transport.schema_registry.settings import RegistrySettings

__all__ = ["reading_catalog", "registry_settings"]


def registry_settings() -> RegistrySettings | None:
    """Return the settings that the environment has; None where it names no registry. Raises ``ConfigurationError``."""
    return RegistrySettings.from_env(os.environ)


def reading_catalog(schemas: Catalog) -> Catalog:
    """Return the same schemas; those of a registry are asked for when a record names one.

    Raises ``ConfigurationError`` and ``MissingExtraError`` now rather than at the first such record.
    """
    settings = registry_settings()
    if settings is None:
        return schemas
    registry = Registry(settings)
    registry.connect()
    return with_registry(schemas, registry)
