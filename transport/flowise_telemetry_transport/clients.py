"""The registry of Kafka clients, and functions that open the client named in the settings.

A client is a folder here whose ``__init__.py`` fulfils ``KafkaClient``, an entry in ``CLIENTS`` and its name in
``settings.ClientName``; nothing else lists the clients. A client's library is imported when something is opened, or by
``warm_up``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Protocol

from flowise_telemetry_schemas.errors import TelemetryError
from flowise_telemetry_transport import kafka_python, librdkafka
from flowise_telemetry_transport.errors import LoginRequiredError, TransportError
from flowise_telemetry_transport.ports import RecordReader, RecordWriter, TopicAdmin
from flowise_telemetry_transport.settings import ClientName, KafkaSettings, WriterOptions

__all__ = [
    "CLIENTS",
    "DEFAULT_CLIENT_ID",
    "KafkaClient",
    "fastest_client",
    "open_admin",
    "open_reader",
    "open_writer",
    "warm_up",
    "warn_of_dangers",
]

logger = logging.getLogger("flowise_telemetry.transport")

_warned: set[str] = set()
_LOGIN_LOOK_SECONDS = 1.5

DEFAULT_CLIENT_ID = "flowise-telemetry"


class KafkaClient(Protocol):
    """One client's adapter."""

    @property
    def LIBRARY(self) -> str:  # noqa: N802 - a constant of the adapter's module
        """The module that the client is imported as."""

    def open_reader(self, settings: KafkaSettings, *, group: str | None, client_id: str) -> RecordReader:
        """See ``clients.open_reader``."""

    def open_writer(self, settings: KafkaSettings, options: WriterOptions, *, client_id: str) -> RecordWriter:
        """See ``clients.open_writer``."""

    def open_admin(self, settings: KafkaSettings, *, client_id: str) -> TopicAdmin:
        """See ``clients.open_admin``."""

    def warm_up(self, settings: KafkaSettings) -> None:
        """See ``clients.warm_up``."""


# The fastest first.
CLIENTS: Mapping[ClientName, KafkaClient] = {
    "librdkafka": librdkafka,  # reading costs half of what it costs with kafka-python
    "kafka-python": kafka_python,
}


def fastest_client() -> ClientName:
    """Return the fastest client whose library is installed."""
    return next((name for name, client in CLIENTS.items() if find_spec(client.LIBRARY)), "kafka-python")


def _prepare(settings: KafkaSettings) -> None:
    if settings.security_protocol != "PLAINTEXT":
        from flowise_telemetry_transport.tls import check_tls_files  # loads ssl

        check_tls_files(settings)
        warn_of_dangers(settings)


def _reason_of(error: TransportError, settings: KafkaSettings) -> TelemetryError:
    from flowise_telemetry_transport.diagnosis.explain import explained  # no client that connects needs it

    return explained(error, settings)


def _require_answer(settings: KafkaSettings, close: Callable[[], None]) -> None:
    """Raise ``LoginRequiredError`` now: kafka-python connects to a port for SASL without a login, and then waits."""
    if settings.client == "kafka-python" and not settings.security_protocol.startswith("SASL"):
        from flowise_telemetry_transport.diagnosis.explain import diagnose

        reason = diagnose(settings, seconds=_LOGIN_LOOK_SECONDS)
        if isinstance(reason, LoginRequiredError):
            close()
            raise reason


def warn_of_dangers(settings: KafkaSettings) -> None:
    """Log one WARNING a process for each setting that sends a secret in clear, or trusts anyone."""
    for danger in settings.dangers:
        if danger not in _warned:
            _warned.add(danger)
            logger.warning("telemetry: %s", danger)


def open_reader(
    settings: KafkaSettings, *, group: str | None = None, client_id: str = DEFAULT_CLIENT_ID
) -> RecordReader:
    """Open a reader; without a ``group`` it can only ``assign``.

    Raises ``BrokerUnavailableError`` (naming the servers) after ``connect_timeout_seconds``, ``ConfigurationError`` for
    a setting unknown to the client, ``MissingExtraError``, ``AuthenticationError``.
    """
    _prepare(settings)
    try:
        reader = CLIENTS[settings.client].open_reader(settings, group=group, client_id=client_id)
    except TransportError as error:
        raise _reason_of(error, settings) from error
    _require_answer(settings, lambda: reader.close(timeout_seconds=1.0))
    return reader


def open_writer(
    settings: KafkaSettings,
    *,
    client_id: str = DEFAULT_CLIENT_ID,
    delivery_timeout_seconds: float = 120.0,
    block_seconds: float = 5.0,
    linger_ms: int = 20,
    max_record_bytes: int = 1_048_576,
    buffer_bytes: int = 33_554_432,
    compression: str | None = None,
    batch_bytes: int | None = None,
) -> RecordWriter:
    """Open a writer without waiting: the broker need not be up yet.

    A record that is not acknowledged within ``delivery_timeout_seconds`` gets its callback with
    ``DeliveryTimeoutError``. ``send`` waits at most ``block_seconds`` for a connection, metadata or room in the
    client's ``buffer_bytes``. ``max_record_bytes`` bounds key, value and headers of one record, framing included.
    ``compression``: gzip, snappy, lz4 or zstd. ``batch_bytes`` bounds what is sent as one batch, which a topic takes or
    refuses as a whole; by default the client does, and a single record may be larger. Raises ``ConfigurationError``,
    ``MissingExtraError``.
    """
    _prepare(settings)
    options = WriterOptions(
        delivery_timeout_seconds=delivery_timeout_seconds,
        block_seconds=block_seconds,
        linger_ms=linger_ms,
        max_record_bytes=max_record_bytes,
        buffer_bytes=buffer_bytes,
        compression=compression,
        batch_bytes=batch_bytes,
    )
    return CLIENTS[settings.client].open_writer(settings, options, client_id=client_id)


def open_admin(settings: KafkaSettings, *, client_id: str = DEFAULT_CLIENT_ID) -> TopicAdmin:
    """Open an admin client. Raises as ``open_reader``."""
    _prepare(settings)
    try:
        admin = CLIENTS[settings.client].open_admin(settings, client_id=client_id)
    except TransportError as error:
        raise _reason_of(error, settings) from error
    _require_answer(settings, admin.close)
    return admin


def warm_up(settings: KafkaSettings) -> None:
    """Import what ``open_writer`` would leave to the first ``send``, and check the settings.

    For processes that fork: a module that another thread is importing during the fork stays locked in the child. Raises
    ``ConfigurationError``, ``MissingExtraError``.
    """
    CLIENTS[settings.client].warm_up(settings)
