"""Errors of a Kafka cluster or client; each adapter maps its client's errors to the most specific class.

TransportError
├── BrokerUnavailableError   no broker answered (retryable)
├── DeliveryError            the cluster did not accept a record (``retryable`` says whether to send it again)
│   ├── MessageTooLargeError     the record, or all that the client sent with it, is over a limit
│   ├── TimestampRefusedError    the record's time is too far from that of the broker
│   └── DeliveryTimeoutError     no acknowledgement within the delivery timeout (retryable)
├── BufferFullError          the client's own send buffer is full (retryable after a flush)
├── UnknownTopicError        the topic does not exist
├── TopicExistsError         the topic to be created exists
├── AuthenticationError      the cluster rejected the credentials
├── AuthorizationError       the credentials do not permit this operation
├── CommitRejectedError      the group rebalanced: another member has the partitions
└── UnreadableRecordError    the client cannot parse a record; carries partition and offset
"""

from __future__ import annotations

from collections.abc import Collection

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
    "TimestampRefusedError",
    "TopicExistsError",
    "TransportError",
    "UnknownTopicError",
    "UnreadableRecordError",
    "check_assigned",
    "check_commit",
    "unreadable",
]


class TransportError(TelemetryError):
    """The root of all errors of a cluster or a client."""


class BrokerUnavailableError(TransportError):
    """No broker answered within the time given; the message names the bootstrap servers."""

    retryable = True


class DeliveryError(TransportError):
    """The cluster did not accept a record."""


class MessageTooLargeError(DeliveryError):
    """The record is larger than the client accepts, or it and those sent with it are larger than the topic does.

    A broker refuses a batch as a whole: one that was sent with others may be accepted alone.
    """


class TimestampRefusedError(DeliveryError):
    """The topic takes no record of this time (``message.timestamp.before.max.ms`` and ``.after.max.ms``).

    So it is with all records of a machine whose clock is wrong. A record with the time -1 has none, and is accepted.
    librdkafka calls other refusals so as well, where it does not tell them apart.
    """


class DeliveryTimeoutError(DeliveryError):
    """No acknowledgement in time. The record may have been written all the same: a resend may duplicate it."""

    retryable = True


class BufferFullError(TransportError):
    """The client's send buffer is full; the record was not taken."""

    retryable = True


class UnknownTopicError(TransportError):
    """The topic does not exist (and is not created on first use)."""


class TopicExistsError(TransportError):
    """The topic exists already."""


class AuthenticationError(TransportError):
    """The cluster rejected the credentials."""


class AuthorizationError(TransportError):
    """The cluster accepted the credentials, but they do not permit this operation."""


class CommitRejectedError(TransportError):
    """Offsets were not committed because the group rebalanced: another member will read those records again."""


class UnreadableRecordError(TransportError):
    """The client cannot parse a record; ``partition`` and ``offset`` name it."""


# Checks and errors shared by all readers. A ``TopicPartition`` is a tuple of topic and partition.


def check_assigned(partitions: Collection[tuple[str, int]], assigned: Collection[tuple[str, int]]) -> None:
    """Raise ``TransportError`` for the first of ``partitions`` that is not ``assigned``."""
    for topic, partition in partitions:
        if (topic, partition) not in assigned:
            raise TransportError(f"{topic}[{partition}] is not assigned", topic=topic, partition=partition)


def check_commit(
    group: str | None, offsets: Collection[tuple[str, int]], assigned: Collection[tuple[str, int]]
) -> None:
    """Raise ``CommitRejectedError`` if a partition of ``offsets`` is not ``assigned`` to this member of ``group``."""
    if not frozenset(assigned).issuperset(offsets):
        raise CommitRejectedError(f"commit of group {group}: some of the partitions are no longer assigned to us")


def unreadable(partition: tuple[str, int], offset: int, reason: str) -> UnreadableRecordError:
    """Return the error for a record that the client cannot parse."""
    topic, number = partition
    return UnreadableRecordError(
        f"{topic}[{number}] offset {offset} cannot be parsed: {reason}", topic=topic, partition=number, offset=offset
    )
