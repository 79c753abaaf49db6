"""Errors of a Kafka cluster or client; each adapter maps its client's errors to the most specific class.

TransportError
├── BrokerUnavailableError   no broker answered (retryable)
│   ├── UnknownHostError         the name of a server does not resolve
│   ├── UnreachableError         nothing listens at the address, or it does not answer
│   └── AdvertisedListenerError  a broker's advertised address cannot be reached from here
├── DeliveryError            the cluster did not accept a record (``retryable`` says whether to send it again)
│   ├── MessageTooLargeError     the record, or all that the client sent with it, is over a limit
│   ├── TimestampRefusedError    the record's time is too far from that of the broker
│   └── DeliveryTimeoutError     no acknowledgement within the delivery timeout (retryable)
├── BufferFullError          the client's own send buffer is full (retryable after a flush)
├── UnknownTopicError        the topic does not exist
├── TopicExistsError         the topic to be created exists
├── AuthenticationError      the cluster rejected the credentials: a wrong password, an unknown user, a token
│   ├── MechanismError           the listener does not offer this SASL mechanism
│   ├── LoginRequiredError       the listener wants a login, and none is set
│   └── LoginUnexpectedError     the listener takes no login, and one is set
├── TlsError                 no secure connection
│   ├── UnknownAuthorityError    the broker's certificate is of an authority that is not trusted here
│   ├── CertificateExpiredError  the broker's certificate is out of date
│   ├── CertificateHostError     the broker's certificate is for another host
│   ├── ClientCertificateError   the broker asks for a certificate of the client, or does not take this one
│   ├── TlsRequiredError         the port speaks TLS, and the settings do not
│   └── TlsUnexpectedError       the port does not speak TLS, and the settings do
├── AuthorizationError       the credentials do not permit this operation
├── CommitRejectedError      the group rebalanced: another member has the partitions
└── UnreadableRecordError    the client cannot parse a record; carries partition and offset
"""

from __future__ import annotations

from collections.abc import Collection

from flowise_telemetry_schemas.errors import TelemetryError

__all__ = [
    "AdvertisedListenerError",
    "AuthenticationError",
    "AuthorizationError",
    "BrokerUnavailableError",
    "BufferFullError",
    "CertificateExpiredError",
    "CertificateHostError",
    "ClientCertificateError",
    "CommitRejectedError",
    "DeliveryError",
    "DeliveryTimeoutError",
    "LoginRequiredError",
    "LoginUnexpectedError",
    "MechanismError",
    "MessageTooLargeError",
    "TimestampRefusedError",
    "TlsError",
    "TlsRequiredError",
    "TlsUnexpectedError",
    "TopicExistsError",
    "TransportError",
    "UnknownAuthorityError",
    "UnknownHostError",
    "UnknownTopicError",
    "UnreachableError",
    "UnreadableRecordError",
    "check_assigned",
    "check_commit",
    "not_permitted",
    "unreadable",
]


class TransportError(TelemetryError):
    """The root of all errors of a cluster or a client."""


class BrokerUnavailableError(TransportError):
    """No broker answered within the time given; the message names the bootstrap servers."""

    retryable = True


class UnknownHostError(BrokerUnavailableError):
    """The name of a server does not resolve."""


class UnreachableError(BrokerUnavailableError):
    """Nothing listens at the address, it does not answer, or what answers is no broker."""


class AdvertisedListenerError(BrokerUnavailableError):
    """A server answers, but the address that it names for a broker cannot be reached from here."""


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


class MechanismError(AuthenticationError):
    """The listener does not offer this SASL mechanism; the message names those it has."""


class LoginRequiredError(AuthenticationError):
    """The listener wants a login, and none is set."""


class LoginUnexpectedError(AuthenticationError):
    """The listener takes no login, and one is set."""


class TlsError(TransportError):
    """There is no secure connection."""


class UnknownAuthorityError(TlsError):
    """The broker's certificate is of an authority that is not trusted here."""


class CertificateExpiredError(TlsError):
    """The broker's certificate is out of date."""


class CertificateHostError(TlsError):
    """The broker's certificate is for another host."""


class ClientCertificateError(TlsError):
    """The broker asks for a certificate of the client, or does not take this one."""


class TlsRequiredError(TlsError):
    """The port speaks TLS, and the settings do not."""


class TlsUnexpectedError(TlsError):
    """The port does not speak TLS, and the settings do."""


class AuthorizationError(TransportError):
    """The cluster accepted the credentials, but they do not permit this operation."""


class CommitRejectedError(TransportError):
    """Offsets were not committed because the group rebalanced: another member will read those records again."""


class UnreadableRecordError(TransportError):
    """The client cannot parse a record; ``partition`` and ``offset`` name it."""


# The right that each thing tried needs; all else that concerns a topic is reading.
_RIGHTS = {
    "delivery": "Write",
    "send": "Write",
    "metadata": "Write",
    "creation": "Create and Describe",
    "settings": "DescribeConfigs",
    "partitions": "Read or Write",
}


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


def not_permitted(resource: str, doing: str, *, topic: str | None = None) -> AuthorizationError:
    """Return the error for an operation that the credentials do not permit; it names the right that is missing.

    ``resource`` is what the broker's error code names: topic, group, cluster, ….  ``doing`` is what was tried.
    """
    # A producer's id takes Write on some topic (KIP-679); who has it on none is told of the cluster.
    if resource == "topic" or (resource == "cluster" and doing.startswith(("delivery", "send"))):
        operation = next((right for begin, right in _RIGHTS.items() if doing.startswith(begin)), "Read")
        right = f"{operation} on topic {topic}" if topic else f"{operation} on the topic"
    elif resource == "group":
        right = "Read on that consumer group"
    else:
        right = f"the operation on the {resource}"
    return AuthorizationError(f"{doing}: the login works, but lacks a right: grant {right} to its user", topic=topic)


def missing_topic(topic: str, *, retryable: bool = False) -> UnknownTopicError:
    """Return the error for a topic that does not exist, with what mends it."""
    return UnknownTopicError(
        f"topic {topic} does not exist: create it with flowise-telemetry topics create",
        topic=topic,
        retryable=retryable,
    )


def unreadable(partition: tuple[str, int], offset: int, reason: str) -> UnreadableRecordError:
    """Return the error for a record that the client cannot parse."""
    topic, number = partition
    return UnreadableRecordError(
        f"{topic}[{number}] offset {offset} cannot be parsed: {reason}", topic=topic, partition=number, offset=offset
    )
