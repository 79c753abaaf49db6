"""kafka-python's errors in our words."""

from __future__ import annotations

from flowise_telemetry_schemas.errors import ConfigurationError, TelemetryError
from flowise_telemetry_transport.errors import (
    AuthenticationError,
    AuthorizationError,
    BrokerUnavailableError,
    CommitRejectedError,
    DeliveryError,
    DeliveryTimeoutError,
    MessageTooLargeError,
    TopicExistsError,
    TransportError,
    UnknownTopicError,
)

__all__ = ["delivery_failure", "failure"]

# By name, as kafka-python and kafka-python-ng do not have the same set of classes.
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
_CLASSES: tuple[tuple[set[str], type[TelemetryError]], ...] = (
    (_COMMIT_REJECTED, CommitRejectedError),
    (_UNAVAILABLE, BrokerUnavailableError),
    (_AUTHENTICATION, AuthenticationError),
    ({"UnknownTopicOrPartitionError", "InvalidTopicError"}, UnknownTopicError),
    ({"TopicAlreadyExistsError"}, TopicExistsError),
    (_TOO_LARGE, MessageTooLargeError),
    ({"KafkaConfigurationError", "AssertionError", "TypeError"}, ConfigurationError),
)


def failure(error: Exception, doing: str, *, topic: str | None = None) -> TelemetryError:
    """The most specific of our errors; ``doing`` starts its message. Raise it ``from`` the error given."""
    name = type(error).__name__
    message = f"{doing}: {'the group has rebalanced' if name in _COMMIT_REJECTED else str(error) or name}"
    retryable = bool(getattr(error, "retriable", False))
    if isinstance(error, TelemetryError):
        return error
    if name.endswith("AuthorizationFailedError"):
        return AuthorizationError(message, topic=topic)
    for names, kind in _CLASSES:
        if name in names:
            return kind(message, topic=topic)
    return TransportError(f"{doing}: {name}: {error}", topic=topic, retryable=retryable)


def delivery_failure(error: BaseException, topic: str) -> TransportError:
    """Why a record was not delivered, as ``on_delivery`` gets it."""
    doing = f"delivery to {topic}"
    if type(error).__name__ in {"KafkaTimeoutError", "RequestTimedOutError"}:
        return DeliveryTimeoutError(f"{doing}: no acknowledgement in time", topic=topic)
    mapped = failure(error, doing, topic=topic) if isinstance(error, Exception) else None
    if isinstance(mapped, TransportError) and type(mapped) is not TransportError:
        return mapped
    retryable = bool(getattr(error, "retriable", False))
    return DeliveryError(f"{doing}: {type(error).__name__}: {error}", topic=topic, retryable=retryable)
