"""Secrets as ``***`` in everything that people read: errors, log lines, ``repr``, ``status``."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["MASK", "is_secret_name", "mask_endpoint", "mask_servers", "mask_values"]

MASK = "***"

_SECRET_WORDS = ("password", "passphrase", "secret", "token", "pem", "sasl_jaas", "oauthbearer_config", "project_key")
_SERVER = re.compile(r"\s*(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)?(:[0-9]{1,6})?\s*")
_ENDPOINT = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*)://(.*@)?(\[[0-9A-Fa-f:.]+\](?::[0-9]{1,6})?|[A-Za-z0-9._-]+(?::[0-9]{1,6})?)"
    r"(/[A-Za-z0-9._~/-]*)?(.+)?",
    re.DOTALL,
)
_SHORTEST_CHARACTERS = 4  # a shorter secret is part of too many words


def is_secret_name(name: str) -> bool:
    """Return True for a setting, spelled with underscores, whose value is secret; a file that holds it is none."""
    return any(word in name for word in _SECRET_WORDS) and not name.endswith(("_file", "_url", "_provider"))


def mask_servers(text: str) -> str:
    """Return an address for messages, with ``***`` for all from the first part on that is no server.

    What follows may belong to it: a password can have a comma in it. Where there is an ``@``, all before the last one
    is masked as well, and a part is a server only with a port.
    """
    _, at, servers = text.rpartition("@")
    shown = []
    for server in servers.split(","):
        found = _SERVER.fullmatch(server)
        if not (found and (found[1] or not at)):
            shown.append(MASK)
            break
        shown.append(server)
    return f"{MASK}@{','.join(shown)}" if at else ",".join(shown)


def mask_endpoint(text: str) -> str:
    """Return the address of a gateway for messages: scheme, host, port and path, with ``***`` for all else."""
    found = _ENDPOINT.fullmatch(text.strip())
    if found is None:
        return MASK
    scheme, login, host, path, rest = found.groups()
    return f"{scheme}://{f'{MASK}@' if login else ''}{host}{path or ''}{MASK if rest else ''}"


def mask_values(text: str, secrets: Iterable[str | None]) -> str:
    """Return a text from a library with these values masked."""
    for secret in sorted((secret for secret in secrets if secret), key=len, reverse=True):
        if len(secret) >= _SHORTEST_CHARACTERS:
            text = text.replace(secret, MASK).replace(repr(secret)[1:-1], MASK)
    return text
