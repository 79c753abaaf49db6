"""Translate our settings into kafka-python's."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from flowise_telemetry_schemas.errors import ConfigurationError
from flowise_telemetry_transport.kafka_python.patches.root_log import name_root_logs
from flowise_telemetry_transport.kafka_python.release import import_kafka
from flowise_telemetry_transport.logging import quiet_kafka_python
from flowise_telemetry_transport.option_names import CONTEXT_OPTIONS
from flowise_telemetry_transport.settings import KafkaSettings
from flowise_telemetry_transport.tls import client_context
from flowise_telemetry_transport.tokens import make_token, provider_of

__all__ = ["client_config"]

# Fixed by the adapter, because the contract of ``ports`` depends on them.
_OURS = frozenset({
    "bootstrap_servers",
    "group_id",
    "client_id",
    "enable_auto_commit",
    "auto_offset_reset",
    "isolation_level",
    "key_deserializer",
    "value_deserializer",
    "key_serializer",
    "value_serializer",
    "partitioner",
    "acks",
    "retries",
    "max_in_flight_requests_per_connection",
    "max_block_ms",
    "max_request_size",
    "buffer_memory",
    "kafka_client",
    "coordinator",
    "legacy_iterator",
    "selector",
    "metric_reporters",
    "default_offset_commit_callback",
    "check_crcs",
    "transactional_id",
})  # fmt: skip

# Settings of groups that rebalance otherwise than all at once; see ADR 0020.
_OTHER_CLIENT = frozenset({"partition_assignment_strategy", "group_protocol", "group_remote_assignor"})
# With a default of None, and no text.
_OBJECTS = frozenset({"ssl_context", "sasl_oauth_token_provider"})
_CODECS = frozenset({"gzip", "snappy", "lz4", "zstd"})

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


def client_config(settings: KafkaSettings, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments for the client whose ``DEFAULT_CONFIG`` is ``known``; imports ``kafka``.

    Options of the client's other roles (consumer, producer, admin) are left out. Raises ``ConfigurationError`` naming
    an option that is unknown to all of them.
    """
    kafka = import_kafka()
    name_root_logs()
    quiet_kafka_python(settings.secrets)

    wanted: dict[str, Any] = {
        "bootstrap_servers": list(settings.bootstrap_servers),
        "security_protocol": settings.security_protocol,
        "sasl_mechanism": settings.sasl_mechanism,
        "sasl_plain_username": settings.sasl_username,
        "sasl_plain_password": settings.password,
        # Its own one uses what Python deprecates, and asks for the passphrase of a key on the terminal.
        "ssl_context": client_context(settings) if "SSL" in settings.security_protocol else None,
        "sasl_oauth_token_provider": _token_source(settings),
        "request_timeout_ms": int(settings.request_timeout_seconds * 1000),
        "session_timeout_ms": int(settings.session_timeout_seconds * 1000),
        "api_version_auto_timeout_ms": int(settings.connect_timeout_seconds * 1000),
        "bootstrap_timeout_ms": int(settings.connect_timeout_seconds * 1000),  # kafka-python 3's name for it
    }
    all_known: dict[str, Any] = {}
    for client in (kafka.KafkaAdminClient, kafka.KafkaProducer, kafka.KafkaConsumer):
        all_known.update(client.DEFAULT_CONFIG)
    for name, text in settings.options.items():
        if name in CONTEXT_OPTIONS:
            continue  # they are in the context
        if name in _OURS:
            raise ConfigurationError(
                f"Kafka setting {name} cannot be set: the pipeline depends on its own value; remove it"
            )
        if name in _OTHER_CLIENT:
            raise ConfigurationError(
                f"Kafka setting {name}: kafka-python's groups rebalance by its own choice; remove it, or use librdkafka"
            )
        if name not in all_known:
            raise ConfigurationError(f"kafka-python does not know the Kafka setting {name}")
        wanted[name] = _typed(name, text, all_known[name])
    return {name: value for name, value in wanted.items() if name in known and value is not None}


def _token_source(settings: KafkaSettings) -> Any:
    """Return the object that the client asks for a token before each login."""
    if settings.token_provider is None:
        return None
    provider = provider_of(settings.token_provider)

    class TokenSource(_abstract_provider()):  # type: ignore[misc]  # kafka-python ships no types
        def token(self) -> str:
            self._made = make_token(provider)
            return self._made.value

        def extensions(self) -> dict[str, str]:
            return dict(self._made.extensions)

    return TokenSource()


def _abstract_provider() -> Any:
    """Return the class of which releases from 2.1 on ask for an instance; it has moved twice."""
    for module in ("kafka.net.sasl.oauth", "kafka.sasl.oauth"):  # of 3, of 2.1
        with contextlib.suppress(ImportError):
            return import_module(module).AbstractTokenProvider
    return import_module("kafka.oauth.abstract").AbstractTokenProvider  # kafka-python-ng


def _typed(name: str, text: str, default: Any) -> Any:
    """Convert the option's text to the type of the client's default; a default of None tells no type."""
    if name == "compression_type" and text not in _CODECS:
        # The client would say so when the first record is sent.
        raise ConfigurationError(f"Kafka setting {name}: {text!r} is not one of {', '.join(sorted(_CODECS))}")
    if name == "api_version":
        return tuple(_number(name, part) for part in text.split("."))
    if isinstance(default, bool):
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise ConfigurationError(f"Kafka setting {name}: {text!r} is neither true nor false")
    if isinstance(default, int | float):
        return _number(name, text)
    if default is None and name.endswith(("_ms", "_bytes")):
        return _number(name, text)
    if name not in _OBJECTS and (default is None or isinstance(default, str)):
        return text
    raise ConfigurationError(f"Kafka setting {name} cannot be given as text")


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigurationError(f"Kafka setting {name}: {text!r} is not a whole number") from None
