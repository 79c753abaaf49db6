"""Connection settings: one description for all clients."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, cast, get_args

from flowise_telemetry_schemas.errors import ConfigurationError
from flowise_telemetry_transport.masking import MASK, is_secret_name, mask_servers
from flowise_telemetry_transport.option_names import (
    FIELD_OF_OPTION,
    SECONDS_OF_OPTION,
    SERVERS_OPTIONS,
    is_code,
    is_of_security,
    option_name,
    turns_verification_off,
)
from flowise_telemetry_transport.password_files import read_password
from flowise_telemetry_transport.tokens import TokenProvider

__all__ = ["METADATA_AGE_SECONDS", "ClientName", "KafkaSettings", "WriterOptions", "parse_bootstrap_servers"]

ClientName = Literal["kafka-python", "librdkafka"]
"""The names in ``clients.CLIENTS``, where a client is added."""

METADATA_AGE_SECONDS = 30.0
"""Age at which a reader asks again which partitions a topic has; the clients' own is 5 minutes."""

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
_LEFT_OUT: SecurityProtocol = cast("SecurityProtocol", "")


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


_SECURITY_FIELDS = (
    "sasl_mechanism",
    "sasl_username",
    "sasl_password",
    "sasl_password_file",
    "token_provider",
    "ssl_cafile",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_key_password",
    "ssl_key_password_file",
)


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

    ``sasl_password_file`` and ``ssl_key_password_file`` name files that hold a password, read at each login, so that a
    password can be rotated under a running client. ``token_provider``, for SASL/OAUTHBEARER, is a function (see
    ``tokens``) or the name of an entry point. A ``security_protocol`` that is left out is PLAINTEXT, and
    ``ConfigurationError`` if there are settings of TLS or a login: they would have no effect.
    """

    bootstrap_servers: tuple[str, ...]
    client: ClientName = "kafka-python"
    security_protocol: SecurityProtocol = _LEFT_OUT
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    sasl_password_file: str | None = None
    token_provider: TokenProvider | str | None = None
    ssl_cafile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_key_password: str | None = field(default=None, repr=False)
    ssl_key_password_file: str | None = None
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
        object.__setattr__(self, "options", {option_name(name): text for name, text in self.options.items()})
        if not self.security_protocol:
            self._choose_protocol()
        if self.security_protocol not in get_args(SecurityProtocol):
            known = ", ".join(get_args(SecurityProtocol))
            raise ConfigurationError(f"security_protocol {self.security_protocol!r} is unknown: use one of {known}")
        for name in ("connect_timeout_seconds", "request_timeout_seconds", "session_timeout_seconds"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"{name} must be over 0")
        if self.request_timeout_seconds <= self.session_timeout_seconds:
            raise ConfigurationError("request_timeout_seconds must be over session_timeout_seconds")
        for name in SERVERS_OPTIONS & self.options.keys():
            raise ConfigurationError(
                f"Kafka setting {name} cannot be set: the servers are bootstrap_servers; remove it"
            )
        self._check_login()

    def _choose_protocol(self) -> None:
        """Be PLAINTEXT, unless that would send in clear what was meant to be protected."""
        meant = [name for name in _SECURITY_FIELDS if getattr(self, name) is not None]
        meant += [name for name, text in self.options.items() if is_of_security(name) and not is_code(name, text)]
        if meant:
            login = any(name.startswith(("sasl_", "token_")) for name in meant)
            raise ConfigurationError(
                f"security_protocol is not set, so {' and '.join(meant)} would have no effect and all would be sent in"
                f" clear: set it (KAFKA_SECURITY_PROTOCOL) to {'SASL_SSL' if login else 'SSL'}"
            )
        object.__setattr__(self, "security_protocol", "PLAINTEXT")

    def _check_login(self) -> None:
        for secret in ("sasl_password", "ssl_key_password"):
            if getattr(self, secret) is not None and getattr(self, f"{secret}_file") is not None:
                raise ConfigurationError(f"{secret} and {secret}_file are both set: remove one of them")
        if self.token_provider is not None and self.sasl_mechanism is None:
            object.__setattr__(self, "sasl_mechanism", "OAUTHBEARER")

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
    def password(self) -> str | None:
        """The password of the login as of now. Raises ``ConfigurationError`` for a file that cannot be read."""
        if self.sasl_password_file is None:
            return self.sasl_password
        return read_password(self.sasl_password_file, "sasl_password_file")

    @property
    def key_password(self) -> str | None:
        """The passphrase of the client's key as of now. Raises as ``password``."""
        if self.ssl_key_password_file is None:
            return self.ssl_key_password
        return read_password(self.ssl_key_password_file, "ssl_key_password_file")

    @property
    def dangers(self) -> tuple[str, ...]:
        """What an operator should know before secrets are sent, a line each."""
        found = []
        if self.security_protocol == "SASL_PLAINTEXT" and self.sasl_mechanism in ("PLAIN", "OAUTHBEARER"):
            secret = "password" if self.sasl_mechanism == "PLAIN" else "token"
            found.append(
                f"the {secret} for {self.servers_text} is sent in clear ({self.sasl_mechanism} over SASL_PLAINTEXT):"
                " use SASL_SSL"
            )
        off = [name for name, text in self.options.items() if turns_verification_off(name, text)]
        if off and "SSL" in self.security_protocol:
            found.append(
                f"{' and '.join(off)} lets any machine pass for {self.servers_text}: remove it, and name the authority"
                " of the brokers' certificates as ssl_cafile"
            )
        return tuple(found)

    @property
    def servers_text(self) -> str:
        """The bootstrap servers, comma-separated, for the client and for messages."""
        return ",".join(self.bootstrap_servers)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values of secret settings, which no message and no line of a log may show."""
        options = [text for name, text in self.options.items() if is_secret_name(name)]
        found = [self.sasl_password, self.ssl_key_password, *options]
        for attribute in ("password", "key_password"):
            with contextlib.suppress(ConfigurationError):  # said where it is used
                found.append(getattr(self, attribute))
        return tuple(secret for secret in found if secret)

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str],
        prefix: str = "FLOWISE_TELEMETRY_",
        *,
        given: Mapping[str, object] | None = None,
    ) -> KafkaSettings:
        """Read settings from ``<prefix>BOOTSTRAP_SERVERS``, ``<prefix>CLIENT`` and ``<prefix>KAFKA_<SETTING>``.

        ``KAFKA_SECURITY_PROTOCOL=SASL_SSL`` sets ``security_protocol``; ``KAFKA_REQUEST_TIMEOUT_MS`` and the other
        timeouts are milliseconds, as in the clients; any other name goes to ``options``. ``given`` are settings of the
        calling program, which override these. Raises ``ConfigurationError``, also for a variable that would load code
        or run a command: only the program itself may give those.
        """
        source = f"{prefix}BOOTSTRAP_SERVERS"
        if not environ.get(source, "").strip():
            if environ.get(f"{prefix}ENDPOINT", "").strip():
                raise ConfigurationError(
                    f"{source} is not set, and {prefix}ENDPOINT names a gateway, which only takes records: give"
                    " host:port[,host:port…] of the cluster behind it to read or administer topics"
                )
            raise ConfigurationError(f"{source} is not set: give host:port[,host:port…]")
        chosen: dict[str, Any] = {
            "bootstrap_servers": parse_bootstrap_servers(environ[source], source=source),
        }
        if client := environ.get(f"{prefix}CLIENT", "").strip():
            chosen["client"] = client
        options: dict[str, Any] = {}
        marker = f"{prefix}KAFKA_"
        for variable, text in environ.items():
            if not variable.startswith(marker) or not text.strip():
                continue
            name = option_name(variable.removeprefix(marker))
            if name in SERVERS_OPTIONS:
                raise ConfigurationError(f"{variable} cannot be set: {source} names the servers; remove it")
            if is_code(name, text):
                raise ConfigurationError(
                    f"{variable} loads code or runs a command, which no variable may choose: remove it, or let the"
                    " program give it as an argument"
                )
            _choose(chosen, options, name, text, variable)
        for argument, value in (given or {}).items():
            _choose(chosen, options, option_name(argument), value, argument)
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
    batch_bytes: int | None = None


def _choose(chosen: dict[str, Any], options: dict[str, Any], name: str, value: object, source: str) -> None:
    """Add a setting under the field that holds it, else to the client's options."""
    if name in FIELD_OF_OPTION:
        chosen[FIELD_OF_OPTION[name]] = value
    elif name in SECONDS_OF_OPTION:
        chosen[SECONDS_OF_OPTION[name]] = _seconds(source, value)
    else:
        options[name] = value if isinstance(value, str) else str(value)


def _seconds(source: str, value: object) -> float:
    try:
        return int(str(value)) / 1000
    except ValueError:
        raise ConfigurationError(f"{source}: {value!r} is not a whole number of milliseconds") from None
