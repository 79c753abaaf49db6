"""Errors shared by all rooms, under one root.

    TelemetryError
    ├── SchemaError            a schema file breaks the contract, or no schema has that name
    ├── ValidationError        an event or record breaks its schema or a constraint
    ├── DecodeError            bytes that are not a record of a known schema
    ├── ConfigurationError     a setting is missing or wrong
    │   └── MissingExtraError  an optional dependency is not installed
    ├── TransportError         (flowise_telemetry_transport.errors)
    └── SinkError              (flowise_telemetry_consumer.errors)

Messages never contain the value of a field: an error may be logged anywhere.
"""

from __future__ import annotations

__all__ = [
    "ConfigurationError",
    "DecodeError",
    "MissingExtraError",
    "SchemaError",
    "TelemetryError",
    "ValidationError",
]


class TelemetryError(Exception):
    """The root of all errors; carries where it happened, as far as known.

    ``argument`` names the parameter or setting of the call that is at fault, in the library's own words, such as
    ``begin`` or ``partitions``; the command line puts the name of its option in front. ``retryable`` says whether the
    same call may succeed later. The raising code sets it; it is never guessed from text.
    """

    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        event: str | None = None,
        field: str | None = None,
        topic: str | None = None,
        partition: int | None = None,
        offset: int | None = None,
        argument: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.event = event
        self.field = field
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.argument = argument
        if retryable is not None:
            self.retryable = retryable


class SchemaError(TelemetryError):
    """A schema file breaks the contract, or there is no schema of that name or fingerprint."""


class ValidationError(TelemetryError):
    """An event or record breaks its schema: ``event``, ``field`` (a path) and ``rule`` say where and which."""

    def __init__(self, message: str, *, event: str | None, field: str | None, rule: str) -> None:
        super().__init__(message, event=event, field=field)
        self.rule = rule


class DecodeError(TelemetryError):
    """Bytes that are not exactly one record of a known schema; ``reason`` is a dead-letter reason."""

    def __init__(self, message: str, *, reason: str, event: str | None = None, schema: str | None = None) -> None:
        super().__init__(message, event=event)
        self.reason = reason
        self.schema = schema


class ConfigurationError(TelemetryError):
    """A setting is missing or wrong; the message names it and says how to mend it."""


class MissingExtraError(ConfigurationError):
    """An optional dependency is missing; the message is the exact ``pip install`` command."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} is not installed: pip install 'flowise-telemetry[{extra}]'")
        self.extra = extra
