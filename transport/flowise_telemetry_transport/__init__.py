"""The Kafka port: Protocols for reading, writing and administering topics, and functions that open them on a cluster.

Importing this loads no Kafka client; that happens when something is opened.
"""

from flowise_telemetry_transport.clients import DEFAULT_CLIENT_ID, open_admin, open_reader, open_writer
from flowise_telemetry_transport.embedded import EmbeddedBroker
from flowise_telemetry_transport.errors import (
    AuthenticationError,
    AuthorizationError,
    BrokerUnavailableError,
    BufferFullError,
    CommitRejectedError,
    DeliveryError,
    DeliveryTimeoutError,
    MessageTooLargeError,
    TopicExistsError,
    TransportError,
    UnknownTopicError,
    UnreadableRecordError,
)
from flowise_telemetry_transport.memory import InMemoryBroker
from flowise_telemetry_transport.partitioning import partition_for
from flowise_telemetry_transport.ports import RebalanceCallback, RecordReader, RecordWriter, TopicAdmin
from flowise_telemetry_transport.settings import ClientName, KafkaSettings, parse_bootstrap_servers
from flowise_telemetry_transport.types import (
    Delivery,
    ExpiredOffsets,
    Headers,
    OnDelivery,
    OutgoingRecord,
    Record,
    TopicPartition,
    TopicSpec,
)

__all__ = [
    "DEFAULT_CLIENT_ID",
    "AuthenticationError",
    "AuthorizationError",
    "BrokerUnavailableError",
    "BufferFullError",
    "ClientName",
    "CommitRejectedError",
    "Delivery",
    "DeliveryError",
    "DeliveryTimeoutError",
    "EmbeddedBroker",
    "ExpiredOffsets",
    "Headers",
    "InMemoryBroker",
    "KafkaSettings",
    "MessageTooLargeError",
    "OnDelivery",
    "OutgoingRecord",
    "RebalanceCallback",
    "Record",
    "RecordReader",
    "RecordWriter",
    "TopicAdmin",
    "TopicExistsError",
    "TopicPartition",
    "TopicSpec",
    "TransportError",
    "UnknownTopicError",
    "UnreadableRecordError",
    "open_admin",
    "open_reader",
    "open_writer",
    "parse_bootstrap_servers",
    "partition_for",
]
