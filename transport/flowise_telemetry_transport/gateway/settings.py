"""Connection settings of a gateway."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from flowise_telemetry_schemas.errors import ConfigurationError
from flowise_telemetry_transport.gateway.proxies import proxy_of
from flowise_telemetry_transport.masking import mask_endpoint
from flowise_telemetry_transport.option_names import CONTEXT_OPTIONS, FIELD_OF_OPTION, option_name
from flowise_telemetry_transport.password_files import read_password
from flowise_telemetry_transport.settings import KafkaSettings

__all__ = ["GatewaySettings"]

_LOOPBACK = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|::1", re.IGNORECASE)
_KEY = re.compile(r"[\x21-\x7e]{1,512}")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Address and key of one gateway. Secrets are masked in the repr.

    ``project_key_file`` names a file that holds the key, read at each request, so that a key can be exchanged under a
    running client. ``http://`` is taken to loopback alone, unless ``allow_http`` says that the key may travel in clear.
    ``tls`` are the settings of TLS that Kafka's clients have too (``ssl_cafile``, ``ssl_certfile``, …). ``proxy`` is
    the URL of an HTTP proxy. Raises ``ConfigurationError``, with no part of what may be a secret in it.
    """

    endpoint: str
    project_key: str | None = field(default=None, repr=False)
    project_key_file: str | None = None
    allow_http: bool = False
    tls: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str | None = field(default=None, repr=False)
    connect_timeout_seconds: float = 10.0
    request_timeout_seconds: float = 30.0

    def __post_init__(self) -> None:
        self._check_endpoint()
        if (self.project_key is None) == (self.project_key_file is None):
            both = "are both set: remove one of them" if self.project_key else "are not set: give one of them"
            raise ConfigurationError(
                f"project_key (PROJECT_KEY) and project_key_file (PROJECT_KEY_FILE) {both}", argument="project_key"
            )
        if self.project_key is not None:
            _checked_key(self.project_key, "project_key")

    def _check_endpoint(self) -> None:
        try:
            url, port = urlsplit(self.endpoint), urlsplit(self.endpoint).port
        except ValueError:
            url, port = SplitResult("", "", "", "", ""), None
        begin = f"endpoint (ENDPOINT) {self.shown!r}"
        if not re.fullmatch(r"[\x21-\x7e]+", self.endpoint) or url.scheme not in ("https", "http") or not url.hostname:
            raise ConfigurationError(f"{begin} is no address of a gateway: give https://host", argument="endpoint")
        if "@" in url.netloc or url.query or url.fragment or port == 0:
            raise ConfigurationError(
                f"{begin} has more than scheme, host, port and path: give the key as project_key (PROJECT_KEY)",
                argument="endpoint",
            )
        if url.scheme == "http" and not self.allow_http and not _LOOPBACK.fullmatch(url.hostname):
            raise ConfigurationError(
                f"{begin} would send the project key in clear: give https://, or say allow_http (ALLOW_HTTP=true)",
                argument="endpoint",
            )

    @property
    def shown(self) -> str:
        """The endpoint for messages."""
        return mask_endpoint(self.endpoint)

    @property
    def is_secure(self) -> bool:
        """True if the connection is TLS."""
        return urlsplit(self.endpoint).scheme == "https"

    @property
    def host(self) -> str:
        """The gateway's host, an IPv6 address without brackets."""
        return urlsplit(self.endpoint).hostname or ""

    @property
    def port(self) -> int:
        """The gateway's port."""
        return urlsplit(self.endpoint).port or (443 if self.is_secure else 80)

    @property
    def path(self) -> str:
        """The endpoint's path, without a slash at its end."""
        return urlsplit(self.endpoint).path.rstrip("/")

    @property
    def key(self) -> str:
        """The project key as of now. Raises ``ConfigurationError`` for a file that cannot be read or holds no key."""
        if self.project_key_file is None:
            return _checked_key(self.project_key or "", "project_key")
        return _checked_key(read_password(self.project_key_file, "project_key_file").strip(), "project_key_file")

    def tls_settings(self) -> KafkaSettings:
        """Return the settings of TLS as ``tls`` takes them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        chosen: dict[str, Any] = {}
        options = {}
        for name, text in self.tls.items():
            if name in FIELD_OF_OPTION:
                chosen[FIELD_OF_OPTION[name]] = text
            else:
                options[name] = text
        servers = (f"{host}:{self.port}",)
        return KafkaSettings(bootstrap_servers=servers, security_protocol="SSL", options=options, **chosen)

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str],
        prefix: str = "FLOWISE_TELEMETRY_",
        *,
        given: Mapping[str, object] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> GatewaySettings:
        """Read ``<prefix>ENDPOINT``, ``PROJECT_KEY``, ``PROJECT_KEY_FILE``, ``ALLOW_HTTP`` and ``KAFKA_SSL_<SETTING>``.

        ``given`` are settings of TLS of the calling program, which override these. ``proxies`` are the variables that
        name a proxy (``HTTPS_PROXY``, ``NO_PROXY``, …); by default those in ``environ``. Raises ``ConfigurationError``,
        also for settings that have no effect on a gateway, and for servers beside it.
        """
        source = f"{prefix}ENDPOINT"
        endpoint = environ.get(source, "").strip()
        if not endpoint:
            raise ConfigurationError(f"{source} is not set: give https://host", argument="endpoint")
        if environ.get(f"{prefix}BOOTSTRAP_SERVERS", "").strip():
            raise ConfigurationError(
                f"endpoint ({source}) and bootstrap_servers ({prefix}BOOTSTRAP_SERVERS) are both set: keep the endpoint"
                " to send through a gateway, or the servers to send to Kafka",
                argument="endpoint",
            )
        marker = f"{prefix}KAFKA_"
        found = [
            (name, option_name(name.removeprefix(marker)), text)
            for name, text in environ.items()
            if name.startswith(marker) and text.strip()
        ]
        found += [(name, option_name(name), str(text)) for name, text in (given or {}).items()]
        tls = {}
        for variable, name, text in found:
            if name in CONTEXT_OPTIONS or FIELD_OF_OPTION.get(name, "").startswith("ssl_"):
                tls[name] = text
            elif not (name == "security_protocol" and text.strip() == "SSL"):
                raise ConfigurationError(
                    f"{variable} is a setting of Kafka's clients, and has no effect on a gateway: remove it, or"
                    f" {source}",
                    argument="kafka",
                )
        settings = cls(
            endpoint=endpoint,
            project_key=environ.get(f"{prefix}PROJECT_KEY", "").strip() or None,
            project_key_file=environ.get(f"{prefix}PROJECT_KEY_FILE", "").strip() or None,
            allow_http=environ.get(f"{prefix}ALLOW_HTTP", "").strip().lower() in ("1", "true", "yes", "on"),
            tls=tls,
        )
        proxy = proxy_of(settings.is_secure, settings.host, settings.port, environ if proxies is None else proxies)
        return settings if proxy is None else _with_proxy(settings, proxy)


def _with_proxy(settings: GatewaySettings, proxy: str) -> GatewaySettings:
    from dataclasses import replace

    return replace(settings, proxy=proxy)


def _checked_key(key: str, argument: str) -> str:
    if _KEY.fullmatch(key) is None:
        raise ConfigurationError(
            f"{argument} ({argument.upper()}) holds no project key: it is one word of printable ASCII, of at most 512"
            " characters",
            argument=argument,
        )
    return key
