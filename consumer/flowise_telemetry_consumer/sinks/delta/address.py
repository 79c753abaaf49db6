"""The URLs of a lake on object storage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from flowise_telemetry_consumer.sinks.parameters import misspelt
from flowise_telemetry_schemas import ConfigurationError

__all__ = ["Place", "place_of"]

_FORMS = {
    "s3": "delta+s3://bucket/prefix?endpoint_url=https://host&region=name",
    "az": "delta+az://container/prefix?account_name=name",
    "gs": "delta+gs://bucket/prefix",
}
_PARAMETERS = {"s3": ("endpoint_url", "region"), "az": ("account_name",), "gs": ()}
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
# What needs no escaping anywhere and means nothing in a pattern.
_PREFIX = re.compile(r"[A-Za-z0-9._=-]+(/[A-Za-z0-9._=-]+)*")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a lake is: ``kind`` is s3, az or gs. ``options`` hold no secret: credentials are the environment's."""

    kind: str
    bucket: str
    prefix: str
    query: str
    options: Mapping[str, str]

    @property
    def url(self) -> str:
        """The address of the sink."""
        return f"delta+{self.kind}://{self.bucket}/{self.prefix}{self.query}"

    @property
    def root(self) -> str:
        """The address as object storage knows it."""
        return f"{self.kind}://{self.bucket}/{self.prefix}".rstrip("/")


def place_of(url: str, environ: Mapping[str, str]) -> Place:
    """Return the place that a URL names, with what the environment says where it names no endpoint, region or account.

    Raises ``ConfigurationError``; its text never repeats the URL, which may hold what it should not.
    """
    kind = url.partition("://")[0].removeprefix("delta+")
    form = _FORMS.get(kind, _FORMS["s3"])
    try:
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise ConfigurationError(f"a delta sink on object storage is {form}") from None
    if parts.username or parts.password or "@" in parts.netloc:
        raise ConfigurationError(
            "credentials do not go into the URL: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or the store's own)"
        )
    prefix = parts.path.strip("/")
    if not _BUCKET.fullmatch(parts.netloc) or not (prefix == "" or _PREFIX.fullmatch(prefix)) or parts.fragment:
        raise ConfigurationError(f"a delta sink on object storage is {form}; a prefix has only A-Z a-z 0-9 . _ = - /")
    if set(given) - set(_PARAMETERS[kind]):
        allowed = " and ".join(_PARAMETERS[kind]) or "no parameters"
        meant = misspelt(given, _PARAMETERS[kind])
        raise ConfigurationError(f"a delta sink on {kind} takes only {allowed}{f'; {meant}' if meant else ''}")
    if kind == "s3":
        return _s3(parts.netloc, prefix, given, environ)
    options = {"account_name": given["account_name"]} if given.get("account_name") else {}
    return Place(kind, parts.netloc, prefix, "", options)


def _s3(bucket: str, prefix: str, given: Mapping[str, str], environ: Mapping[str, str]) -> Place:
    endpoint_url = given.get("endpoint_url") or environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
    if endpoint_url and (not re.match(r"https?://", endpoint_url) or "@" in endpoint_url):
        raise ConfigurationError("endpoint_url is https://host or http://host:port, without credentials")
    region = given.get("region") or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    options = {"aws_region": region}
    if endpoint_url:
        options["aws_endpoint"] = endpoint_url
        options["aws_allow_http"] = str(endpoint_url.startswith("http://")).lower()
    return Place("s3", bucket, prefix, f"?endpoint_url={endpoint_url}" if endpoint_url else "", options)
