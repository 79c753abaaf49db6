"""Map kafka-python errors to ``TransportError`` subclasses."""

from __future__ import annotations

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
    not_permitted,
)

__all__ = ["is_own_refusal", "translate_delivery_error", "translate_error"]

# By name, because kafka-python and kafka-python-ng have different classes.
_COMMIT_REJECTED = {"CommitFailedError", "RebalanceInProgressError", "IllegalGenerationError", "UnknownMemberIdError"}
_UNAVAILABLE = {
    "NoBrokersAvailable",
    "NodeNotReadyError",
    "KafkaUnavailableError",
    "KafkaConnectionError",
    "KafkaTimeoutError",
    "RequestTimedOutError",
    "GroupCoordinatorNotAvailableError",
    "CoordinatorNotAvailableError",
    "LeaderNotAvailableError",
    "MetadataEmptyBrokerList",
}
_AUTHENTICATION = {
    "AuthenticationFailedError",
    "SaslAuthenticationFailedError",
    "AuthenticationMethodNotSupported",
    "UnsupportedSaslMechanismError",
    "IllegalSaslStateError",
}
_TOO_LARGE = {"MessageSizeTooLargeError", "RecordListTooLargeError", "RecordTooLargeError"}
_IN_PASSING = ("not in current metadata", "API version check failed")
"""Of assertions that fail because a broker went away meanwhile; others tell of settings."""

_CLASSES: tuple[tuple[set[str], type[TelemetryError]], ...] = (
    (_COMMIT_REJECTED, CommitRejectedError),
    (_UNAVAILABLE, BrokerUnavailableError),
    (_AUTHENTICATION, AuthenticationError),
    ({"UnknownTopicOrPartitionError", "InvalidTopicError"}, UnknownTopicError),
    ({"TopicAlreadyExistsError"}, TopicExistsError),
    (_TOO_LARGE, MessageTooLargeError),
    ({"InvalidTimestampError"}, TimestampRefusedError),
    ({"KafkaConfigurationError", "AssertionError", "TypeError"}, ConfigurationError),
)


def translate_error(error: Exception, doing: str, *, topic: str | None = None) -> TelemetryError:
    """Return our most specific error; ``doing`` starts its message. Raise it ``from`` the error given."""
    name = type(error).__name__
    message = f"{doing}: {'the group has rebalanced' if name in _COMMIT_REJECTED else str(error) or name}"
    retryable = bool(getattr(error, "retriable", False))
    if isinstance(error, TelemetryError):
        return error
    if name.endswith("AuthorizationFailedError"):
        # Its text is a set of the letters of the topic's name.
        return not_permitted(name.removesuffix("AuthorizationFailedError").lower(), doing, topic=topic)
    if name == "AssertionError" and any(text in str(error) for text in _IN_PASSING):
        return BrokerUnavailableError(f"{doing}: {error}", topic=topic)
    for names, kind in _CLASSES:
        if name in names:
            return kind(message, topic=topic)
    return TransportError(f"{doing}: {name}: {error}", topic=topic, retryable=retryable)


def is_own_refusal(error: BaseException | None) -> bool:
    """Return True if the client itself refuses a record for its size; a broker may have answered by then, too."""
    return type(error).__name__ == "MessageSizeTooLargeError" and "when serialized" in str(error)


def translate_delivery_error(error: BaseException, topic: str) -> TransportError:
    """Return the error of a record that was not delivered, for ``on_delivery``."""
    doing = f"delivery to {topic}"
    if type(error).__name__ in {"KafkaTimeoutError", "RequestTimedOutError"}:
        return DeliveryTimeoutError(f"{doing}: no acknowledgement in time", topic=topic)
    mapped = translate_error(error, doing, topic=topic) if isinstance(error, Exception) else None
    if isinstance(mapped, TransportError) and type(mapped) is not TransportError:
        return mapped
    # The client was closed while the record waited in it: that says nothing about the record.
    retryable = bool(getattr(error, "retriable", False)) or type(error).__name__ == "IllegalStateError"
    return DeliveryError(f"{doing}: {type(error).__name__}: {error}", topic=topic, retryable=retryable)
