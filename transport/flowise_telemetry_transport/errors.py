"""What can go wrong between us and a Kafka cluster, mapped from both clients to the most specific class.

TransportError
├── BrokerUnavailableError   no broker answered (retryable)
├── DeliveryError            a record was not accepted by the cluster (retryable says whether to try again)
│   ├── MessageTooLargeError     the record is over the client's or the topic's limit
│   └── DeliveryTimeoutError     no acknowledgement within the delivery timeout (retryable)
├── BufferFullError          the client's own send buffer is full (retryable after a flush)
├── UnknownTopicError        the topic does not exist
├── TopicExistsError         creating a topic that is there
├── AuthenticationError      the cluster refused the credentials
├── AuthorizationError       the credentials may not do this
├── CommitRejectedError      the group moved on: the partitions are someone else's now
└── UnreadableRecordError    the client cannot parse a record; carries partition and offset
"""

from __future__ import annotations

from flowise_telemetry_schemas.errors import TelemetryError

__all__ = [
    "AuthenticationError",
    "AuthorizationError",
    "BrokerUnavailableError",
    "BufferFullError",
    "CommitRejectedError",
    "DeliveryError",
    "DeliveryTimeoutError",
    "MessageTooLargeError",
    "TopicExistsError",
    "TransportError",
    "UnknownTopicError",
    "UnreadableRecordError",
]


class TransportError(TelemetryError):
    """The root of what a cluster or a client can do to us."""


class BrokerUnavailableError(TransportError):
    """No broker answered within the time given; the message names the bootstrap servers."""

    retryable = True


class DeliveryError(TransportError):
    """A record was not accepted by the cluster."""


class MessageTooLargeError(DeliveryError):
    """The record is larger than the client or the topic takes; sending it again cannot help."""


class DeliveryTimeoutError(DeliveryError):
    """No acknowledgement in time. The record may still have been written: a resend may duplicate it."""

    retryable = True


class BufferFullError(TransportError):
    """The client's send buffer is full; nothing was taken."""

    retryable = True


class UnknownTopicError(TransportError):
    """The topic does not exist (and is not created on first use)."""


class TopicExistsError(TransportError):
    """The topic is there already."""


class AuthenticationError(TransportError):
    """The cluster refused who we are."""


class AuthorizationError(TransportError):
    """The cluster knows us and does not let us."""


class CommitRejectedError(TransportError):
    """Offsets were not committed because the group rebalanced: what was polled will be polled by someone else."""


class UnreadableRecordError(TransportError):
    """A record that the client itself cannot parse; ``partition`` and ``offset`` say which."""
