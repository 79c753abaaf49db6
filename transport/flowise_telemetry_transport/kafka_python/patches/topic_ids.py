"""kafka-python-ng 2.2.3: ids of topics (KIP-516), which it does not ask for.

Metadata of version 10, from Kafka 2.8 on; the client knows versions up to 5. Layout: KIP-516, and
``MetadataRequest.json`` and ``MetadataResponse.json`` of Kafka. kafka-python 3 has other classes, and no id either.
"""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

from flowise_telemetry_transport.kafka_python.patches.answers import METADATA, answer_of, knows

__all__ = ["topic_id_of"]

_VERSION = 10
_NO_ID = bytes(16)


def topic_id_of(client: Any, topic: str) -> str | None:
    """Return the id of a topic as Kafka spells it; None if the cluster has none, or there is no such topic.

    Waits for a broker; the deadline of ``client`` (see ``blocking``) bounds that. Raises the client's errors.
    """
    if not knows(client, METADATA, _VERSION):
        return None
    answer = answer_of(client, _request_class()([(_NO_ID, topic, {})], False, False, False, {}))
    found = {entry[1]: entry[2] for entry in answer.topics if not entry[0]}
    raw = found.get(topic, _NO_ID)
    return None if raw == _NO_ID else base64.urlsafe_b64encode(raw).decode().rstrip("=")


@cache
def _request_class() -> Any:
    from kafka.protocol.abstract import AbstractType
    from kafka.protocol.api import Request, Response
    from kafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

    class Uuid(AbstractType):  # type: ignore[misc]  # kafka-python ships no types
        @classmethod
        def encode(cls, value: bytes) -> bytes:
            return value

        @classmethod
        def decode(cls, data: Any) -> bytes:
            return bytes(data.read(16))

    text, tags = CompactString("utf-8"), ("tags", TaggedFields)

    class MetadataResponse(Response):  # type: ignore[misc]
        API_KEY = METADATA
        API_VERSION = _VERSION
        SCHEMA = Schema(
            ("throttle_time_ms", Int32),
            ("brokers", CompactArray(("node_id", Int32), ("host", text), ("port", Int32), ("rack", text), tags)),
            ("cluster_id", text),
            ("controller_id", Int32),
            (
                "topics",
                CompactArray(
                    ("error_code", Int16),
                    ("topic", text),
                    ("topic_id", Uuid),
                    ("is_internal", Boolean),
                    (
                        "partitions",
                        CompactArray(
                            ("error_code", Int16),
                            ("partition", Int32),
                            ("leader", Int32),
                            ("leader_epoch", Int32),
                            ("replicas", CompactArray(Int32)),
                            ("isr", CompactArray(Int32)),
                            ("offline_replicas", CompactArray(Int32)),
                            tags,
                        ),
                    ),
                    ("topic_authorized_operations", Int32),
                    tags,
                ),
            ),
            ("cluster_authorized_operations", Int32),
            tags,
        )

    class MetadataRequest(Request):  # type: ignore[misc]
        API_KEY = METADATA
        API_VERSION = _VERSION
        RESPONSE_TYPE = MetadataResponse
        FLEXIBLE_VERSION = True
        SCHEMA = Schema(
            ("topics", CompactArray(("topic_id", Uuid), ("topic", text), tags)),
            ("allow_auto_topic_creation", Boolean),
            ("include_cluster_authorized_operations", Boolean),
            ("include_topic_authorized_operations", Boolean),
            tags,
        )

    return MetadataRequest
