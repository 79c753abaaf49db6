"""Tokens of SASL/OAUTHBEARER (RFC 7628, KIP-255), made by a function of the program or of an installed package."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flowise_telemetry_schemas.errors import ConfigurationError

__all__ = ["TOKEN_PROVIDERS", "Token", "TokenProvider", "make_token", "provider_of"]

TOKEN_PROVIDERS = "flowise_telemetry.token_providers"  # noqa: S105 - the name of a group
"""Entry points of packages that provide tokens. A setting chooses one by its name."""

_DEFAULT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Token:
    """A token, the time of its end in seconds since 1970, and what the broker may ask for beside it."""

    value: str = field(repr=False)
    expires_at_seconds: float
    principal: str = ""
    extensions: Mapping[str, str] = field(default_factory=dict)


TokenProvider = Callable[[], "Token | tuple[str, float] | str"]
"""Return a fresh token: a ``Token``, a token with the time of its end in seconds since 1970, or a token for 5 minutes.

It is called by threads of the client, before each login. What it raises is a failed login.
"""


def make_token(provider: TokenProvider) -> Token:
    """Return a token of this provider. Raises what the provider raises, and ``ConfigurationError`` for no token."""
    made = provider()
    if isinstance(made, Token):
        return made
    if isinstance(made, str) and made:
        return Token(made, time.time() + _DEFAULT_SECONDS)
    if isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], str):
        return Token(made[0], float(made[1]))
    raise ConfigurationError(
        "the token provider returned no token: return Token(value, expires_at_seconds), (value, expires_at_seconds) or"
        " the token",
        argument="token_provider",
    )


def provider_of(named: TokenProvider | str) -> TokenProvider:
    """Return the provider, or the one that an installed package has under this name. Raises ``ConfigurationError``."""
    if not isinstance(named, str):
        return named
    from importlib.metadata import entry_points  # slow to load, and most connections have no token

    found = {each.name: each for each in entry_points(group=TOKEN_PROVIDERS)}
    if named not in found:
        known = ", ".join(sorted(found)) or "none"
        raise ConfigurationError(
            f"no installed package has the token provider {named!r} (entry points {TOKEN_PROVIDERS}); known: {known}",
            argument="token_provider",
        )
    provider: TokenProvider = found[named].load()
    return provider
