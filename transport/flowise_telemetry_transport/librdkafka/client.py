"""Our settings in librdkafka's words, and the client made of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from flowise_telemetry_schemas.errors import ConfigurationError, MissingExtraError
from flowise_telemetry_transport.librdkafka.errors import failure
from flowise_telemetry_transport.logging import ClientLog
from flowise_telemetry_transport.settings import KafkaSettings

__all__ = ["confluent_kafka", "make_client"]

# kafka-python's name, where putting dots for underscores does not give librdkafka's.
_RENAMED = {
    "fetch_max_wait_ms": "fetch.wait.max.ms",
    "receive_buffer_bytes": "socket.receive.buffer.bytes",
    "send_buffer_bytes": "socket.send.buffer.bytes",
    "ssl_ciphers": "ssl.cipher.suites",
    "ssl_crlfile": "ssl.crl.location",
}
# The contract of ports depends on these: whoever sets them gets another program.
_OURS = frozenset({
    "bootstrap.servers",
    "group.id",
    "client.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "auto.offset.reset",
    "isolation.level",
    "partitioner",
    "acks",
    "request.required.acks",
    "enable.idempotence",
    "delivery.timeout.ms",
    "message.timeout.ms",
    "message.max.bytes",
    "queue.buffering.max.kbytes",
})  # fmt: skip


def confluent_kafka() -> ModuleType:
    """The client's module; raises ``MissingExtraError``."""
    try:
        import confluent_kafka as module
    except ImportError as error:
        raise MissingExtraError("confluent-kafka", "librdkafka") from error
    return module


def make_client(client_class: Any, settings: KafkaSettings, ours: Mapping[str, Any]) -> Any:
    """A client of that class; raises ``ConfigurationError`` naming the setting that librdkafka refuses."""
    config: dict[str, Any] = {
        "bootstrap.servers": settings.servers_text,
        "security.protocol": settings.security_protocol,
        "sasl.mechanism": settings.sasl_mechanism,
        "sasl.username": settings.sasl_username,
        "sasl.password": settings.sasl_password,
        "ssl.ca.location": settings.ssl_cafile,
        "ssl.certificate.location": settings.ssl_certfile,
        "ssl.key.location": settings.ssl_keyfile,
        "ssl.key.password": settings.ssl_key_password,
        "socket.timeout.ms": int(settings.request_timeout_seconds * 1000),
        "socket.connection.setup.timeout.ms": max(1000, int(settings.connect_timeout_seconds * 1000)),
        **ours,
    }
    config = {name: value for name, value in config.items() if value is not None}
    given: dict[str, str] = {}
    for option, text in settings.options.items():
        name, value = _renamed(option, text)
        if name in _OURS:
            raise ConfigurationError(f"Kafka setting {option} cannot be set: the pipeline depends on its own value")
        config[name] = value
        given[name] = option
    try:
        return client_class(config, logger=ClientLog())
    except confluent_kafka().KafkaException as error:
        for name, option in given.items():
            if f'"{name}"' in str(error):
                reason = error.args[0].str()
                raise ConfigurationError(f"librdkafka refuses the Kafka setting {option}: {reason}") from error
        raise failure(error, f"no client for {settings.servers_text}") from error


def _renamed(option: str, text: str) -> tuple[str, str]:
    if option == "ssl_check_hostname":
        checks = text.lower() in {"1", "true", "yes", "on"}
        return "ssl.endpoint.identification.algorithm", "https" if checks else "none"
    return _RENAMED.get(option, option.replace("_", ".")), text
