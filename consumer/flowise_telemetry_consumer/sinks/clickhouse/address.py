"""The address in a ClickHouse URL."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from flowise_telemetry_consumer.sinks.parameters import misspelt
from flowise_telemetry_consumer.sinks.passwords import NO_PASSWORD, Password
from flowise_telemetry_schemas import ConfigurationError

__all__ = ["Address", "address_of"]

_TLS_PORT = 8443
_TLS_PORTS = (443, _TLS_PORT)
_DEFAULT_DATABASE = "default"
_FOLDER_DATABASE = "flowise_telemetry"
_CONNECT_TIMEOUT_SECONDS = 10
_REQUEST_TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Address:
    """Arguments of ``clickhouse_connect.get_client``, the database, and the URL for messages, without the password.

    ``makes_database`` is true for a folder, whose engine knows no database of ours before.
    """

    arguments: Mapping[str, Any] = field(repr=False)
    database: str
    shown: str
    makes_database: bool = False
    password: Password = NO_PASSWORD


def address_of(url: str, environment: Mapping[str, str] = os.environ) -> Address:
    """Return the address of a URL; without a password in it, ``CLICKHOUSE_PASSWORD`` is used.

    ``password_file=`` of the URL, or ``CLICKHOUSE_PASSWORD_FILE``, names a file that holds the password.

    Raises ``ConfigurationError``, whose text repeats no part of the URL: a misplaced part is often the password.
    """
    if url.startswith("clickhouse:///"):
        return _folder(url.removeprefix("clickhouse:///"))
    try:
        parts = urlsplit(url)
        port = parts.port or _TLS_PORT
        said = parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError:
        raise _unreadable() from None
    database = unquote(parts.path.removeprefix("/")) or _DEFAULT_DATABASE
    files = said.pop("password_file", [""])
    secure = said.pop("secure", ["true" if port in _TLS_PORTS else "false"])
    if not parts.hostname or parts.fragment or set("/@") & set(database) or said or secure[-1] not in ("true", "false"):
        raise _unreadable(misspelt(said, ("password_file", "secure")))
    password = Password.found(unquote(parts.password or ""), files[-1], environment, "CLICKHOUSE_PASSWORD")
    if password == NO_PASSWORD and parts.password is None:
        password = Password(environment.get("CLICKHOUSE_PASSWORD", ""))
    user = unquote(parts.username) if parts.username else "default"
    masked = f"{parts.username or ''}{':***' if parts.password else ''}{'@' if parts.username else ''}"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Address(
        arguments={
            "host": parts.hostname,
            "port": port,
            "username": user,
            "password": password.value or "",
            "secure": secure[-1] == "true",
            "connect_timeout": _CONNECT_TIMEOUT_SECONDS,
            "send_receive_timeout": _REQUEST_TIMEOUT_SECONDS,
            # Statements of ours share no state, and a session takes one statement at a time.
            "autogenerate_session_id": False,
        },
        database=database,
        shown=f"clickhouse://{masked}{host}:{port}/{database}",
        password=password,
    )


def _folder(path: str) -> Address:
    folder, _, query = path.partition("?")
    try:
        said = parse_qs(query, strict_parsing=bool(query))
    except ValueError:
        raise _unreadable() from None
    database = said.pop("database", [_FOLDER_DATABASE])[-1]
    if not folder or folder.endswith("/") or said or set("/@") & set(database):
        raise _unreadable(misspelt(said, ("database",)))
    return Address(
        arguments={"interface": "chdb", "path": folder},
        database=database,
        # This text must never change: the ids of replays are hashes of it (``ReplayRequest.run_id``).
        shown=f"clickhouse:///{path}",
        makes_database=True,
    )


def _unreadable(meant: str = "") -> ConfigurationError:
    form = (
        "it is clickhouse://user@host:8443/database, with ?secure=false for plain HTTP on another port, or "
        "clickhouse:///relative/folder for the engine in this process, with ?database=name for another database than "
        f"{_FOLDER_DATABASE}; percent-encode special characters of a password, or give it as CLICKHOUSE_PASSWORD or "
        "CLICKHOUSE_PASSWORD_FILE"
    )
    return ConfigurationError(f"not a ClickHouse URL: {f'{meant}; ' if meant else ''}{form}")
