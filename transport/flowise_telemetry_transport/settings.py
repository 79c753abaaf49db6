"""Connection settings: one description for all clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from flowise_telemetry_schemas.errors import ConfigurationError
from flowise_telemetry_transport.masking import MASK, is_secret_name, mask_servers

__all__ = ["ClientName", "KafkaSettings", "WriterOptions", "parse_bootstrap_servers"]

ClientName = Literal["kafka-python", "librdkafka"]
"""The names in ``clients.CLIENTS``, where a client is added."""

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]

# Option names from the clients' own documentation, and the field that holds them here.
_FIELD_OF_OPTION = {
    "security_protocol": "security_protocol",
    "sasl_mechanism": "sasl_mechanism",
    "sasl_mechanisms": "sasl_mechanism",
    "sasl_plain_username": "sasl_username",
    "sasl_username": "sasl_username",
    "sasl_plain_password": "sasl_password",
    "sasl_password": "sasl_password",
    "ssl_cafile": "ssl_cafile",
    "ssl_ca_location": "ssl_cafile",
    "ssl_certfile": "ssl_certfile",
    "ssl_certificate_location": "ssl_certfile",
    "ssl_keyfile": "ssl_keyfile",
    "ssl_key_location": "ssl_keyfile",
    "ssl_password": "ssl_key_password",
    "ssl_key_password": "ssl_key_password",
}
_SECONDS_OF_OPTION = {
    "request_timeout_ms": "request_timeout_seconds",
    "connect_timeout_ms": "connect_timeout_seconds",
    "session_timeout_ms": "session_timeout_seconds",
}


def parse_bootstrap_servers(text: str, *, source: str = "bootstrap servers") -> tuple[str, ...]:
    """Parse ``host:port[,host:port…]`` into ``("host:port", …)``; ``source`` names the setting in the error.

    Raises ``ConfigurationError`` for an empty list, a URL, a user or password, or a server without a port. Its text
    repeats none of what may be a password.
    """
    if "@" in text:
        raise ConfigurationError(
            f"{source}: {mask_servers(text)} names a user: give host:port, and user and password as the settings"
            " KAFKA_SASL_PLAIN_USERNAME and KAFKA_SASL_PLAIN_PASSWORD"
        )
    servers = tuple(part.strip() for part in text.split(",") if part.strip())
    if not servers:
        raise ConfigurationError(f"{source} is empty: give host:port[,host:port…]")
    for server in servers:
        _check_server(server, source)
    return servers


def _check_server(server: str, source: str) -> None:
    shown = mask_servers(server)
    if "://" in server:
        raise ConfigurationError(f"{source}: {shown!r} is a URL: give host:port without a scheme")
    if "@" in server:
        raise ConfigurationError(f"{source}: {shown!r} names a user: give host:port")
    host, colon, port = server.rpartition(":")
    if not colon or not host or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        raise ConfigurationError(f"{source}: {shown!r} has no port: write {shown}:9092")
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ConfigurationError(f"{source}: {shown!r}: the port must be a number from 1 to 65535")


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSettings:
    """Connection settings of one cluster, for readers, writers and admins. Secrets are masked in the repr.

    ``options`` are further settings of the client under kafka-python's names (``max_poll_interval_ms``) or, with
    underscores for dots, librdkafka's. They override the adapter's own choices except those that the contract of
    ``ports`` depends on. A name unknown to the client raises ``ConfigurationError`` when the client is opened.
    """

    bootstrap_servers: tuple[str, ...]
    client: ClientName = "kafka-python"
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_cafile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_key_password: str | None = field(default=None, repr=False)
    connect_timeout_seconds: float = 10.0
    request_timeout_seconds: float = 40.0
    session_timeout_seconds: float = 30.0
    options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.bootstrap_servers, str):
            raise ConfigurationError(
                "bootstrap_servers must be a tuple: use parse_bootstrap_servers for text", argument="bootstrap_servers"
            )
        if not self.bootstrap_servers:
            raise ConfigurationError("bootstrap servers are empty: give host:port", argument="bootstrap_servers")
        for server in self.bootstrap_servers:
            _check_server(server, "bootstrap servers")
        if self.client not in get_args(ClientName):
            known = ", ".join(get_args(ClientName))
            raise ConfigurationError(f"client {self.client!r} is unknown: use one of {known}", argument="client")
        if self.security_protocol not in get_args(SecurityProtocol):
            known = ", ".join(get_args(SecurityProtocol))
            raise ConfigurationError(f"security_protocol {self.security_protocol!r} is unknown: use one of {known}")
        for name in ("connect_timeout_seconds", "request_timeout_seconds", "session_timeout_seconds"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"{name} must be over 0")
        if self.request_timeout_seconds <= self.session_timeout_seconds:
            raise ConfigurationError("request_timeout_seconds must be over session_timeout_seconds")
        object.__setattr__(self, "options", dict(self.options))

    def __repr__(self) -> str:
        shown = []
        for spec in fields(self):
            value: Any = getattr(self, spec.name)
            if value is None or value == {}:
                continue
            if is_secret_name(spec.name):
                value = MASK
            elif spec.name == "options":
                value = {name: MASK if is_secret_name(name) else text for name, text in value.items()}
            shown.append(f"{spec.name}={value!r}")
        return f"KafkaSettings({', '.join(shown)})"

    @property
    def servers_text(self) -> str:
        """The bootstrap servers, comma-separated, for the client and for messages."""
        return ",".join(self.bootstrap_servers)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values of secret settings, which no message and no line of a log may show."""
        options = [text for name, text in self.options.items() if is_secret_name(name)]
        return tuple(secret for secret in (self.sasl_password, self.ssl_key_password, *options) if secret)

    @classmethod
    def from_env(cls, environ: Mapping[str, str], prefix: str = "FLOWISE_TELEMETRY_") -> KafkaSettings:
        """Read settings from ``<prefix>BOOTSTRAP_SERVERS``, ``<prefix>CLIENT`` and ``<prefix>KAFKA_<SETTING>``.

        ``KAFKA_SECURITY_PROTOCOL=SASL_SSL`` sets ``security_protocol``; ``KAFKA_REQUEST_TIMEOUT_MS`` and the other
        timeouts are milliseconds, as in the clients; any other name goes to ``options``. Raises ``ConfigurationError``.
        """
        source = f"{prefix}BOOTSTRAP_SERVERS"
        if not environ.get(source, "").strip():
            raise ConfigurationError(f"{source} is not set: give host:port[,host:port…]")
        chosen: dict[str, Any] = {
            "bootstrap_servers": parse_bootstrap_servers(environ[source], source=source),
        }
        if client := environ.get(f"{prefix}CLIENT", "").strip():
            chosen["client"] = client
        options: dict[str, str] = {}
        marker = f"{prefix}KAFKA_"
        for variable, text in environ.items():
            if not variable.startswith(marker) or not text.strip():
                continue
            name = variable.removeprefix(marker).lower()
            if name in _FIELD_OF_OPTION:
                chosen[_FIELD_OF_OPTION[name]] = text
            elif name in _SECONDS_OF_OPTION:
                chosen[_SECONDS_OF_OPTION[name]] = _seconds(variable, text)
            else:
                options[name] = text
        if options:
            chosen["options"] = options
        return cls(**chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterOptions:
    """The options of a writer as ``open_writer`` passes them to an adapter; see there for meaning and defaults."""

    delivery_timeout_seconds: float
    block_seconds: float
    linger_ms: int
    max_record_bytes: int
    buffer_bytes: int
    compression: str | None


def _seconds(variable: str, text: str) -> float:
    try:
        return int(text) / 1000
    except ValueError:
        raise ConfigurationError(f"{variable}: {text!r} is not a whole number of milliseconds") from None
