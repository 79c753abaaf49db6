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


def failure(error: Exception, doing: str, *, topic: str | None = None) -> TelemetryError:
    """The most specific of our errors; ``doing`` starts its message. Raise it ``from`` the error given."""
    name = type(error).__name__
    message = f"{doing}: {str(error) or name}"
    retryable = bool(getattr(error, "retriable", False))
    if isinstance(error, TelemetryError):
        return error
    if name in _COMMIT_REJECTED:
        return CommitRejectedError(f"{doing}: the group has rebalanced", topic=topic)
    if name in _UNAVAILABLE:
        return BrokerUnavailableError(message, topic=topic)
    if name in _AUTHENTICATION:
        return AuthenticationError(message, topic=topic)
    if name.endswith("AuthorizationFailedError"):
        return AuthorizationError(message, topic=topic)
    if name in {"UnknownTopicOrPartitionError", "InvalidTopicError"}:
        return UnknownTopicError(message, topic=topic)
    if name == "TopicAlreadyExistsError":
        return TopicExistsError(message, topic=topic)
    if name in _TOO_LARGE:
        return MessageTooLargeError(message, topic=topic)
    if name in {"KafkaConfigurationError", "AssertionError", "TypeError"}:
        return ConfigurationError(message)
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
