"""Errors of a schema registry.

TransportError
└── RegistryError                the registry did not do what was asked
    ├── RegistryUnavailableError     no answer, or none that can be used: 5xx, no JSON, a wrong path (retryable)
    ├── RegistryDeniedError          it refuses the credentials, or they do not permit this (retryable: they are mended)
    └── RegistryConflictError        it refuses a schema as incompatible, or as none
SchemaError                  (flowise_telemetry_schemas) it answers that it has no such schema or subject
"""

from __future__ import annotations

from flowise_telemetry_transport.errors import TransportError

__all__ = ["RegistryConflictError", "RegistryDeniedError", "RegistryError", "RegistryUnavailableError"]


class RegistryError(TransportError):
    """The root of the errors of a registry; each message names its URL."""


class RegistryUnavailableError(RegistryError):
    """No answer that can be used: whoever needs it waits, and asks again."""

    retryable = True


class RegistryDeniedError(RegistryError):
    """The registry refuses the credentials. Retryable, as it is the operator who mends it, not the one who waits."""

    retryable = True


class RegistryConflictError(RegistryError):
    """The registry refuses to take a schema, or to change a setting."""
