"""Why PostgreSQL refuses a connection, and what mends it.

libpq gives no SQLSTATE here, so the text is looked at. A server with messages in another language gets no advice, which
is better than a wrong one.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NO_ADVICE", "Advice", "advice_for"]


@dataclass(frozen=True, slots=True)
class Advice:
    """What mends a refused connection; ``waits``: it may end by itself, so that trying again helps."""

    mend: str = ""
    waits: bool = False
    refusal: str = "refuses the connection"


NO_ADVICE = Advice()

_LOGIN = Advice("check user, password and database", refusal="rejected the login")
_FULL = Advice("all its connections are taken: end some, raise the limit, or put a pooler in front", waits=True)
_KIND = Advice("target_session_attrs of the URL asks for another kind of server: name the others too", waits=True)
_BINDING = Advice(
    "channel_binding=require wants TLS and a password stored as scram-sha-256: have both, or leave it out"
)
_HBA = Advice("its pg_hba.conf has no line for this user, database, address and encryption: add one")
_TLS = Advice("check sslmode and its files in the URL, and ssl of the server")

_ADVICE = (
    ("certificate", _TLS),
    ("does not support SSL", _TLS),
    ("SSL error", _TLS),
    ("password authentication failed", _LOGIN),
    ("no password supplied", _LOGIN),
    ("authentication failed for user", _LOGIN),
    ("does not exist", _LOGIN),
    ("is not permitted to log in", Advice("ALTER ROLE … LOGIN, or name another user")),
    ("permission denied for database", Advice("GRANT CONNECT on the database to the role")),
    ("too many connections", _FULL),
    ("too many clients", _FULL),
    ("remaining connection slots", _FULL),
    ("no more connections allowed", _FULL),  # pgbouncer
    ("not currently accepting connections", Advice("ALTER DATABASE … ALLOW_CONNECTIONS true", waits=True)),
    ("session is read-only", _KIND),
    ("session is not read-only", _KIND),
    ("server is in hot standby mode", _KIND),
    ("server is not in hot standby mode", _KIND),
    ("channel binding", _BINDING),
    ("pg_hba.conf", _HBA),
)


def advice_for(text: str) -> Advice:
    """Return the advice for a refusal in libpq's or the server's words."""
    return next((advice for sign, advice in _ADVICE if sign in text), NO_ADVICE)
