"""The registry of the commands that write to one or compare with one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from flowise_telemetry_cli.reading_catalog import registry_settings
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport.schema_registry.registry import Registry

__all__ = ["required_registry"]


@contextlib.contextmanager
def required_registry() -> Iterator[Registry]:
    """Give the registry that the environment names, closed again. Raises ``ConfigurationError`` if it names none."""
    settings = registry_settings()
    if settings is None:
        raise ConfigurationError(
            "FLOWISE_TELEMETRY_SCHEMA_REGISTRY_URL is not set: give the registry's http://host:port"
        )
    registry = Registry(settings)
    try:
        yield registry
    finally:
        registry.close()
