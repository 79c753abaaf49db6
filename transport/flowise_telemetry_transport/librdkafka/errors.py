"""Map librdkafka errors to ``TransportError`` subclasses."""

from __future__ import annotations

from typing import Any

from flowise_telemetry_schemas.errors import ConfigurationError, TelemetryError
from flowise_telemetry_transport.errors import (
    AuthenticationError,
    BrokerUnavailableError,
    CommitRejectedError,
    DeliveryError,
    DeliveryTimeoutError,
    MessageTooLargeError,
    TimestampRefusedError,
    TopicExistsError,
    TransportError,
    UnknownTopicError,
    missing_topic,
    not_permitted,
)

__all__ = ["UNAVAILABLE", "UNREADABLE", "translate_delivery_error", "translate_error", "translate_exception"]

UNAVAILABLE = frozenset({
    "_TRANSPORT",
    "_ALL_BROKERS_DOWN",
    "_RESOLVE",
    "_TIMED_OUT",
    "_TIMED_OUT_QUEUE",
    "_WAIT_COORD",
    "REQUEST_TIMED_OUT",
    "COORDINATOR_NOT_AVAILABLE",
    "NOT_COORDINATOR",
    "COORDINATOR_LOAD_IN_PROGRESS",
    "LEADER_NOT_AVAILABLE",
    "BROKER_NOT_AVAILABLE",
    "NETWORK_EXCEPTION",
    # Transient states of a partition, while its leader moves or a broker restarts.
    "NOT_LEADER_FOR_PARTITION",
    "FENCED_LEADER_EPOCH",
    "UNKNOWN_LEADER_EPOCH",
    "OFFSET_NOT_AVAILABLE",
    "REPLICA_NOT_AVAILABLE",
    "KAFKA_STORAGE_ERROR",
    "UNSTABLE_OFFSET_COMMIT",
})  # fmt: skip
UNREADABLE = frozenset({"_BAD_MSG", "_BAD_COMPRESSION", "_UNDERFLOW", "CORRUPT_MESSAGE", "INVALID_MSG"})
_CLASSES: dict[str, type[TelemetryError]] = {
    **dict.fromkeys(UNAVAILABLE, BrokerUnavailableError),
    **dict.fromkeys(
        ("ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "REBALANCE_IN_PROGRESS", "FENCED_INSTANCE_ID"), CommitRejectedError
    ),
    **dict.fromkeys(("_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION", "UNKNOWN_TOPIC_OR_PART"), UnknownTopicError),
    **dict.fromkeys(("TOPIC_EXCEPTION",), UnknownTopicError),
    **dict.fromkeys(("MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"), MessageTooLargeError),
    **dict.fromkeys(("_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "_SSL"), AuthenticationError),
    "UNSUPPORTED_SASL_MECHANISM": AuthenticationError,
    # Where several records of a batch are refused, librdkafka does not say why (KIP-467).
    **dict.fromkeys(("INVALID_TIMESTAMP", "INVALID_RECORD"), TimestampRefusedError),
    "TOPIC_ALREADY_EXISTS": TopicExistsError,
    "_INVALID_ARG": ConfigurationError,
}
_MISSING = frozenset({"_UNKNOWN_TOPIC", "UNKNOWN_TOPIC_OR_PART"})
_OTHERS = frozenset({"_INVALID_DIFFERENT_RECORD"})  # another record of the batch was refused
_TIMED_OUT = frozenset({"_MSG_TIMED_OUT", "_TIMED_OUT", "REQUEST_TIMED_OUT", "_PURGE_QUEUE", "_PURGE_INFLIGHT"})


def translate_exception(error: Any, doing: str, *, topic: str | None = None) -> TelemetryError:
    """Return our most specific error for a ``KafkaException``; ``doing`` starts its message. Raise it ``from`` that."""
    return translate_error(error.args[0], doing, topic=topic)


def translate_error(error: Any, doing: str, *, topic: str | None = None) -> TelemetryError:
    """Return our most specific error for a ``KafkaError``, as callbacks and messages carry them."""
    name = error.name()
    message = f"{doing}: {error.str()}"
    if name.endswith("AUTHORIZATION_FAILED"):
        return not_permitted(name.removesuffix("AUTHORIZATION_FAILED").strip("_").lower(), doing, topic=topic)
    if name in _MISSING and topic:
        return missing_topic(topic)
    if name in _CLASSES:
        return _CLASSES[name](message, topic=topic)
    return TransportError(f"{doing}: {name}: {error.str()}", topic=topic, retryable=bool(error.retriable()))


def translate_delivery_error(error: Any, topic: str) -> TransportError:
    """Return the error of a record that was not delivered, for ``on_delivery``."""
    doing = f"delivery to {topic}"
    if error.name() in _OTHERS:
        return DeliveryError(f"{doing}: {error.str()}", topic=topic, retryable=True)
    if error.name() in _TIMED_OUT:
        return DeliveryTimeoutError(f"{doing}: no acknowledgement in time", topic=topic)
    mapped = translate_error(error, doing, topic=topic)
    if isinstance(mapped, TransportError) and type(mapped) is not TransportError:
        return mapped
    # A client that has given up for ever says nothing about the record: another one is made.
    return DeliveryError(mapped.message, topic=topic, retryable=mapped.retryable or error.name() == "_FATAL")
