"""The address in a PostgreSQL URL."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, unquote

from flowise_telemetry_consumer.sinks.parameters import misspelt
from flowise_telemetry_consumer.sinks.passwords import NO_PASSWORD, Password
from flowise_telemetry_schemas import ConfigurationError

__all__ = ["DEFAULT_SCHEMA", "Address", "address_of"]

DEFAULT_SCHEMA = "public"

_MAX_IDENTIFIER_BYTES = 63

_DEFAULTS = {
    "connect_timeout": "10",
    # A vanished peer is noticed within half a minute, not after TCP's two hours.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
    "fallback_application_name": "flowise-telemetry",
}


@dataclass(frozen=True, slots=True)
class Address:
    """libpq's connection string with the password, the same place without it, and the schema of the tables.

    ``live`` is the schema whose staging tables these are; empty for live tables.
    """

    conninfo: str = field(repr=False)
    schema: str
    place: str
    password: Password = NO_PASSWORD
    live: str = ""

    @property
    def home(self) -> str:
        """Return the schema of the live tables, of which this is or has the staging tables."""
        return self.live or self.schema

    @property
    def shown(self) -> str:
        """Return the URL for messages, without the password."""
        if self.schema == DEFAULT_SCHEMA:
            return self.place
        return f"{self.place}{'&' if '?' in self.place else '?'}schema={quote(self.schema)}"

    def staging(self, name: str) -> Address:
        """Return the address of schema ``<schema>_<name>``. Raises ``ConfigurationError`` if that is too long."""
        return replace(self, schema=_short_enough(f"{self.schema}_{name}"), live=self.home)


def address_of(url: str, environment: Mapping[str, str] = os.environ) -> Address:
    """Return the address of a URL. libpq fills in the rest, also from ``PGPASSWORD`` and ``~/.pgpass``.

    ``password_file=`` of the URL, or ``PGPASSWORD_FILE``, names a file that holds the password.

    Raises ``ConfigurationError`` for what libpq cannot parse. Its text repeats no part of the URL: a misplaced part is
    often the password.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    bare, _, query = url.partition("?")
    parameters = [part for part in query.split("&") if part]
    schemas = [unquote(part.removeprefix("schema=")) for part in parameters if part.startswith("schema=")]
    files = [unquote(part.removeprefix("password_file=")) for part in parameters if part.startswith("password_file=")]
    rest = "&".join(part for part in parameters if not part.startswith(("schema=", "password_file=")))
    authority, _, path = bare.partition("://")[2].partition("/")
    if authority.count("@") > 1 or "@" in path or "@" in unquote(authority.rpartition("@")[2]):
        raise _unreadable()  # it belongs to the password, and libpq would take what follows for the host
    try:
        said = conninfo_to_dict(f"{bare}?{rest}" if rest else bare)
    except ProgrammingError:
        raise _unreadable(_names_of(rest)) from None
    if "@" in f"{said.get('host') or ''}{said.get('hostaddr') or ''}":
        raise _unreadable()
    port = str(said.get("port") or "")
    if not all(number.isdecimal() for number in port.split(",") if port):
        raise _unreadable()
    schema = schemas[-1] if schemas else DEFAULT_SCHEMA
    if not schema:
        raise ConfigurationError("schema= of the PostgreSQL URL is empty: name a schema or leave it out")
    settings: dict[str, Any] = {**_DEFAULTS, **said}
    password = Password.found(str(said.get("password") or ""), files[-1] if files else None, environment, "PGPASSWORD")
    return Address(
        conninfo=make_conninfo(**settings), schema=_short_enough(schema), place=_place(said), password=password
    )


def _short_enough(schema: str) -> str:
    """Return the name, or raise: PostgreSQL would truncate it, and two schemas would be one."""
    if len(schema.encode()) > _MAX_IDENTIFIER_BYTES:
        raise ConfigurationError(
            f"the schema {schema} has a name of more than {_MAX_IDENTIFIER_BYTES} bytes: shorten it"
        )
    return schema


def _names_of(query: str) -> list[str]:
    return [part.partition("=")[0] for part in query.split("&") if part]


def _unreadable(parameters: Sequence[str] = ()) -> ConfigurationError:
    from psycopg.pq import Conninfo

    known = [option.keyword.decode() for option in Conninfo.get_defaults()]
    meant = misspelt(parameters, [*known, "schema", "password_file"])
    return ConfigurationError(
        f"not a PostgreSQL URL: {f'{meant}; ' if meant else ''}it is postgresql://user@host:port/database?schema=name; "
        "percent-encode special characters of a password (@ is %40), or give it as PGPASSWORD or PGPASSWORD_FILE"
    )


def _place(said: dict[str, str | int | None]) -> str:
    user = f"{said['user']}{':***' if said.get('password') else ''}@" if said.get("user") else ""
    host, port = str(said.get("host") or ""), f":{said['port']}" if said.get("port") else ""
    # The folder of a Unix socket cannot stand in place of a host.
    where = f"{user}{host}{port}/" if not host.startswith("/") else f"{user}{port}/"
    return f"postgresql://{where}{said.get('dbname') or ''}{f'?host={host}' if host.startswith('/') else ''}"
