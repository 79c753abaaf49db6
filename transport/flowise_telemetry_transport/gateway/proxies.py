"""The HTTP proxy that the environment names for an address, as curl and Python's own clients read it."""

from __future__ import annotations

import ipaddress
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from flowise_telemetry_schemas.errors import ConfigurationError

__all__ = ["Proxy", "parse_proxy", "proxy_of"]


class Proxy(NamedTuple):
    """An HTTP proxy; ``headers`` log in there and hold a secret."""

    host: str
    port: int
    headers: dict[str, str]


def proxy_of(is_secure: bool, host: str, port: int, environ: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy for this address; None if it is reached directly, as loopback always is.

    ``https_proxy`` or ``http_proxy``, else ``all_proxy``, unless ``no_proxy`` names the host; lower case before upper
    case. ``HTTP_PROXY`` in upper case counts for nothing in a CGI program, where a request can set it (httpoxy.org).
    """
    names = ["https_proxy", "HTTPS_PROXY"] if is_secure else ["http_proxy"]
    if not is_secure and not environ.get("REQUEST_METHOD"):
        names.append("HTTP_PROXY")
    found = next((text for name in (*names, "all_proxy", "ALL_PROXY") if (text := environ.get(name, "").strip())), "")
    excepted = environ.get("no_proxy", "").strip() or environ.get("NO_PROXY", "").strip()
    if not found or _is_loopback(host) or any(_matches(part, host, port) for part in re.split(r"[\s,]+", excepted)):
        return None
    return found


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _matches(part: str, host: str, port: int) -> bool:
    """Return True if a part of ``no_proxy`` names the host: ``*``, a name with all below it, an address or network."""
    if part == "*":
        return True
    name, colon, wanted = part.rpartition(":")
    if colon and wanted.isdecimal() and ":" not in name.strip("[]"):
        if int(wanted) != port:
            return False
        part = name
    part, host = part.strip("[]").lower().lstrip("*").lstrip("."), host.lower()
    if not part:
        return False
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(part, strict=False)
    except ValueError:
        return host == part or host.endswith(f".{part}")


def parse_proxy(text: str) -> Proxy:
    """Return host, port and login of a proxy's URL; the scheme may be left out.

    Raises ``ConfigurationError``, without the URL, which may hold a password.
    """
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        host, port = url.hostname, url.port or 80
    except ValueError:
        url, host, port = None, None, 0
    if url is None or url.scheme != "http" or not host:
        raise ConfigurationError(
            "the proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names is no http://host:port: name such a one, or"
            " except the gateway's host by NO_PROXY"
        )
    login = {}
    if url.username:
        pair = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
        login["Proxy-Authorization"] = f"Basic {b64encode(pair).decode()}"
    return Proxy(host, port, login)
