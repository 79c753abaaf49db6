"""Create a librdkafka client from our settings, and bound calls that take no timeout."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from flowise_telemetry_schemas.errors import ConfigurationError, MissingExtraError
from flowise_telemetry_transport.diagnosis.explain import diagnose
from flowise_telemetry_transport.errors import BrokerUnavailableError
from flowise_telemetry_transport.librdkafka.credentials import Credentials
from flowise_telemetry_transport.librdkafka.errors import UNAVAILABLE, translate_exception
from flowise_telemetry_transport.logging import ClientLog
from flowise_telemetry_transport.masking import mask_values
from flowise_telemetry_transport.settings import KafkaSettings

__all__ = ["check_connection", "confluent_kafka", "free", "make_client", "within"]

_FIRST_LOOK_SECONDS = 1.5

# kafka-python's option names that differ from librdkafka's by more than dots for underscores.
_RENAMED = {
    "fetch_max_wait_ms": "fetch.wait.max.ms",
    "receive_buffer_bytes": "socket.receive.buffer.bytes",
    "send_buffer_bytes": "socket.send.buffer.bytes",
    "ssl_ciphers": "ssl.cipher.suites",
    "ssl_crlfile": "ssl.crl.location",
}
# Fixed by the adapter, because the contract of ``ports`` depends on them.
_OURS = frozenset({
    "bootstrap.servers",
    "metadata.broker.list",
    "group.id",
    "client.id",
    "enable.auto.commit",
    "auto.commit.enable",
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
    "check.crcs",
    "delivery.report.only.error",
    "offset.store.method",
    "transactional.id",
    "default.topic.config",  # an object
    "logger",
})  # fmt: skip


def confluent_kafka() -> ModuleType:
    """Return the client's module. Raises ``MissingExtraError``."""
    try:
        import confluent_kafka as module
    except ImportError as error:
        raise MissingExtraError("confluent-kafka", "librdkafka") from error
    return module


def make_client(
    client_class: Any, settings: KafkaSettings, ours: Mapping[str, Any], credentials: Credentials | None = None
) -> Any:
    """Make a client of this class. Raises ``ConfigurationError`` naming the setting that librdkafka refuses.

    Whoever keeps the ``credentials`` renews them while it polls.
    """
    config: dict[str, Any] = {
        "bootstrap.servers": settings.servers_text,
        "security.protocol": settings.security_protocol,
        "sasl.mechanism": settings.sasl_mechanism,
        "sasl.username": settings.sasl_username,
        "ssl.ca.location": settings.ssl_cafile,
        "ssl.certificate.location": settings.ssl_certfile,
        "ssl.key.location": settings.ssl_keyfile,
        "ssl.key.password": settings.key_password,
        "socket.timeout.ms": int(settings.request_timeout_seconds * 1000),
        "socket.connection.setup.timeout.ms": max(1000, int(settings.connect_timeout_seconds * 1000)),
        **(credentials or Credentials(settings)).config,
        **ours,
    }
    config = {name: value for name, value in config.items() if value is not None}
    given: dict[str, str] = {}
    for option, text in settings.options.items():
        name, value = _renamed(option, text)
        if name in _OURS:
            raise ConfigurationError(
                f"Kafka setting {option} cannot be set: the pipeline depends on its own value; remove it"
            )
        config[name] = value
        given[name] = option
    try:
        return client_class(config, logger=ClientLog(settings.secrets))
    except confluent_kafka().KafkaException as error:
        for name, option in given.items():
            of_plugin = name == "plugin.library.paths" and "(plugin " in str(error)
            if of_plugin or re.search(rf"""["`]{re.escape(name)}["`]""", str(error)):
                reason = mask_values(error.args[0].str(), settings.secrets)
                hides = reason != error.args[0].str()  # a trace would show it
                raise ConfigurationError(f"librdkafka refuses the Kafka setting {option}: {reason}") from (
                    None if hides else error
                )
        raise translate_exception(error, f"no client for {settings.servers_text}") from error


def check_connection(client: Any, settings: KafkaSettings) -> None:
    """Wait for a broker to answer: librdkafka connects in the background and reports nothing.

    Raises ``BrokerUnavailableError`` after ``connect_timeout_seconds``; sooner if the reason is one that waiting does
    not mend, such as a wrong password.
    """
    end = time.monotonic() + settings.connect_timeout_seconds
    reason = None
    while True:
        left = end - time.monotonic()
        try:
            client.list_topics(timeout=max(0.05, min(_FIRST_LOOK_SECONDS, left)))
        except confluent_kafka().KafkaException as error:
            client.poll(0)  # hands out the lines of its log
            if error.args[0].name() not in UNAVAILABLE:
                raise translate_exception(error, f"no connection to {settings.servers_text}") from error
            reason = diagnose(settings) if left > _FIRST_LOOK_SECONDS else reason
            if reason is not None and not isinstance(reason, BrokerUnavailableError):
                raise reason from error
            if time.monotonic() >= end:
                raise reason or BrokerUnavailableError(f"no broker answers at {settings.servers_text}") from error
        else:
            return


def within(seconds: float, work: Callable[[], object]) -> bool:
    """Run ``work`` in a thread; return False if it took longer. It then continues without keeping the process alive."""
    thread = threading.Thread(target=work, name="flowise-telemetry-reader", daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def free(client: list[Any], seconds: float) -> None:
    """Take a client out of a list, and wait a bounded time for its end.

    Once nothing refers to a client, librdkafka waits for its threads, of which one may be looking a name up. Left to
    the interpreter's end, that wait has no bound.
    """
    try:
        within(seconds, client.clear)
    except RuntimeError:  # Python 3.12 starts no thread once the interpreter shuts down
        client.clear()


def _renamed(option: str, text: str) -> tuple[str, str]:
    if option == "ssl_check_hostname":
        checks = text.lower() in {"1", "true", "yes", "on"}
        return "ssl.endpoint.identification.algorithm", "https" if checks else "none"
    return _RENAMED.get(option, option.replace("_", ".")), text
