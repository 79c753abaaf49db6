"""The URL of a data set on object storage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from flowise_telemetry_consumer.sinks.parquet.object_store import Bucket
from flowise_telemetry_schemas import ConfigurationError

__all__ = ["bucket_of"]

_FORM = "parquet+s3://bucket/prefix?endpoint_url=https://host&region=name"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# Characters that need no escaping anywhere and are not special in a glob pattern.
_PREFIX = re.compile(r"[A-Za-z0-9._=-]+(/[A-Za-z0-9._=-]+)*")
_PARAMETERS = ("endpoint_url", "region")


def bucket_of(url: str, environ: Mapping[str, str]) -> Bucket:
    """Return bucket and prefix of a URL, with endpoint and region from the environment where it names none.

    Raises ``ConfigurationError``; its text never repeats the URL, which may hold what it should not.
    """
    try:
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise ConfigurationError(f"a parquet sink on object storage is {_FORM}") from error
    if parts.username or parts.password or "@" in parts.netloc:
        raise ConfigurationError("credentials do not go into the URL: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    prefix = parts.path.strip("/")
    if not _BUCKET.fullmatch(parts.netloc) or not (prefix == "" or _PREFIX.fullmatch(prefix)) or parts.fragment:
        raise ConfigurationError(
            f"a parquet sink on object storage is {_FORM}; a prefix has only A-Z a-z 0-9 . _ = - /"
        )
    if set(given) - set(_PARAMETERS):
        raise ConfigurationError(f"a parquet sink on object storage takes only {' and '.join(_PARAMETERS)}")
    endpoint_url = given.get("endpoint_url") or environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
    if endpoint_url and (not re.match(r"https?://", endpoint_url) or "@" in endpoint_url):
        raise ConfigurationError("endpoint_url is https://host or http://host:port, without credentials")
    region = given.get("region") or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return Bucket(parts.netloc, prefix, endpoint_url or None, region)
