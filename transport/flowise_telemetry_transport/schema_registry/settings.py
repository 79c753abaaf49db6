"""Connection settings of a schema registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import unquote, urlsplit

from flowise_telemetry_schemas.errors import ConfigurationError
from flowise_telemetry_transport.masking import MASK

__all__ = ["RegistrySettings"]

_PREFIX = "SCHEMA_REGISTRY_"
_SECRET = frozenset({"user_info", "ssl_key_password"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """Where a schema registry is, and how to log in there. Secrets are masked in the repr.

    ``url``: ``http(s)://host:port[/path]``, or several of one registry with commas between. ``user_info``:
    ``user:password`` of basic authentication; in the URL it is taken too. ``ssl_cafile`` names the authority of the
    registry's certificate where that is none of the machine's own; the certificate is always verified.
    ``timeout_seconds`` bounds the wait for each part of an answer.
    """

    url: str
    user_info: str | None = field(default=None, repr=False)
    ssl_cafile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_key_password: str | None = field(default=None, repr=False)
    timeout_seconds: float = 5.0

    def __post_init__(self) -> None:
        for part in self.url.split(","):
            _check(part.strip())
        if not 0 < self.timeout_seconds < float("inf"):
            raise ConfigurationError(
                "the schema registry's timeout_seconds (SCHEMA_REGISTRY_TIMEOUT_SECONDS) must be over 0",
                argument="timeout_seconds",
            )
        if self.user_info is not None and ":" not in self.user_info:
            raise ConfigurationError(
                "the schema registry's user_info (SCHEMA_REGISTRY_USER_INFO) must be user:password",
                argument="user_info",
            )
        if self.user_info is not None and "@" in self.url:
            raise ConfigurationError(
                "the schema registry's URL names a user, and user_info is set too: remove one of them",
                argument="user_info",
            )
        if self.ssl_certfile is None and (self.ssl_keyfile or self.ssl_key_password):
            raise ConfigurationError(
                "the schema registry's ssl_keyfile is set without ssl_certfile: set both", argument="ssl_certfile"
            )

    def __repr__(self) -> str:
        shown = []
        for spec in fields(self):
            value = getattr(self, spec.name)
            if value is not None:
                value = MASK if spec.name in _SECRET else self.shown_url if spec.name == "url" else value
                shown.append(f"{spec.name}={value!r}")
        return f"RegistrySettings({', '.join(shown)})"

    @property
    def shown_url(self) -> str:
        """The URL for messages, without what may be a password."""
        return ",".join(_masked(part.strip()) for part in self.url.split(","))

    @property
    def plain_url(self) -> str:
        """The URL without a login, for the client: its HTTP library logs the URL of every request as it is."""
        return ",".join(_without_login(part.strip()) for part in self.url.split(","))

    @property
    def login(self) -> str | None:
        """The ``user:password`` of ``user_info`` or of the URL, as it is sent; None without one."""
        if self.user_info is not None:
            return self.user_info
        for part in self.url.split(","):
            found = urlsplit(part.strip())
            if found.username is not None:
                return f"{unquote(found.username)}:{unquote(found.password or '')}"
        return None

    @property
    def dangers(self) -> tuple[str, ...]:
        """What an operator should know before secrets are sent, a line each."""
        if "http://" in self.url and (self.user_info is not None or "@" in self.url):
            return (f"the password for the schema registry at {self.shown_url} is sent in clear: use https",)
        return ()

    @classmethod
    def from_env(cls, environ: Mapping[str, str], prefix: str = "FLOWISE_TELEMETRY_") -> RegistrySettings | None:
        """Read ``<prefix>SCHEMA_REGISTRY_URL`` and the other settings of that prefix; None without a URL.

        Raises ``ConfigurationError``, also for a variable of that prefix that is no setting.
        """
        marker = prefix + _PREFIX
        known = {spec.name for spec in fields(cls)}
        chosen: dict[str, Any] = {}
        for variable, text in environ.items():
            if variable.startswith(marker) and text.strip():
                name = variable.removeprefix(marker).lower()
                if name not in known:
                    there = ", ".join(sorted(each.upper() for each in known))
                    raise ConfigurationError(f"{variable} is no setting; after {marker} there may be: {there}")
                chosen[name] = _seconds(variable, text) if name == "timeout_seconds" else text.strip()
        return cls(**chosen) if "url" in chosen else None


def _seconds(variable: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(f"{variable} must be a number of seconds") from None


def _masked(url: str) -> str:
    scheme, separator, rest = url.rpartition("://")
    _, at, place = rest.rpartition("@")
    return f"{scheme}{separator}{MASK}@{place}" if at else url


def _without_login(url: str) -> str:
    found = urlsplit(url)
    return found._replace(netloc=found.netloc.rpartition("@")[2]).geturl()


def _check(url: str) -> None:
    try:
        found = urlsplit(url)
        good = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
    except ValueError:  # a port that is no number
        good = False
    if not good:
        raise ConfigurationError(
            f"the schema registry's URL {_masked(url)} (SCHEMA_REGISTRY_URL) must be http://host:port or"
            " https://host:port",
            argument="url",
        )
