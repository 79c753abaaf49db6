"""A login as the clients make it, to hear the broker's verdict."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

from flowise_telemetry_schemas.errors import ConfigurationError
from flowise_telemetry_transport.diagnosis.wire import Wire
from flowise_telemetry_transport.errors import AuthenticationError, LoginUnexpectedError, MechanismError
from flowise_telemetry_transport.settings import KafkaSettings
from flowise_telemetry_transport.tokens import make_token, provider_of

__all__ = ["is_ours_to_judge", "log_in"]

_ILLEGAL_SASL_STATE = 34
_HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}


def is_ours_to_judge(settings: KafkaSettings) -> bool:
    """Return True unless the client alone can log in: by GSSAPI, OIDC or a mechanism that is unknown here."""
    mechanism = settings.sasl_mechanism or "GSSAPI"
    by_token = mechanism == "OAUTHBEARER" and settings.token_provider is not None
    return "SASL" not in settings.security_protocol or mechanism == "PLAIN" or mechanism in _HASHES or by_token


def log_in(wire: Wire, settings: KafkaSettings, server: str) -> None:
    """Log in; return if that worked, or if this mechanism is not ours to judge (GSSAPI, OIDC). Raises the reason."""
    mechanism = settings.sasl_mechanism or "GSSAPI"
    code, offered = wire.mechanisms(mechanism)
    if code == _ILLEGAL_SASL_STATE:
        raise LoginUnexpectedError(
            f"{server} takes no login on this port: set security_protocol (KAFKA_SECURITY_PROTOCOL) to"
            f" {'SSL' if settings.security_protocol == 'SASL_SSL' else 'PLAINTEXT'}, or name the port for SASL"
        )
    if code:
        raise MechanismError(
            f"{server} does not offer sasl_mechanism {mechanism}, but {', '.join(offered) or 'none'}: set"
            " KAFKA_SASL_MECHANISM to one of these"
        )
    if mechanism == "PLAIN":
        message = f"\0{settings.sasl_username or ''}\0{settings.password or ''}".encode()
        _step(wire, message, settings, server)
    elif mechanism in _HASHES:
        _scram(wire, _HASHES[mechanism], settings, server)
    elif mechanism == "OAUTHBEARER" and settings.token_provider is not None:
        _token(wire, settings, server)


def _step(wire: Wire, message: bytes, settings: KafkaSettings, server: str) -> bytes:
    code, _, answer = wire.authenticate(message)
    if code:
        password = "sasl_password_file (KAFKA_SASL_PASSWORD_FILE)"  # noqa: S105 - the name of a setting
        if settings.sasl_password_file is None:
            password = "sasl_password (KAFKA_SASL_PASSWORD)"  # noqa: S105 - the name of a setting
        raise AuthenticationError(
            f"{server} rejected the login of user {settings.sasl_username!r} with {settings.sasl_mechanism}: wrong"
            f" password, or no such user; check sasl_username (KAFKA_SASL_USERNAME) and {password}"
        )
    return answer


def _scram(wire: Wire, name: str, settings: KafkaSettings, server: str) -> None:
    """RFC 5802, without channel binding."""
    user = (settings.sasl_username or "").replace("=", "=3D").replace(",", "=2C")
    nonce = base64.b64encode(os.urandom(18)).decode()
    first = f"n={user},r={nonce}"
    challenge = _step(wire, f"n,,{first}".encode(), settings, server).decode()
    said = dict(part.split("=", 1) for part in challenge.split(",") if "=" in part)
    salted = hashlib.pbkdf2_hmac(
        name, (settings.password or "").encode(), base64.b64decode(said["s"]), min(int(said["i"]), 1_000_000)
    )
    client_key = hmac.digest(salted, b"Client Key", name)
    final = f"c=biws,r={said['r']}"
    signature = hmac.digest(hashlib.new(name, client_key).digest(), f"{first},{challenge},{final}".encode(), name)
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature, strict=True))).decode()
    _step(wire, f"{final},p={proof}".encode(), settings, server)


def _token(wire: Wire, settings: KafkaSettings, server: str) -> None:
    assert settings.token_provider is not None  # noqa: S101 - the caller has looked
    try:
        token = make_token(provider_of(settings.token_provider))
    except ConfigurationError:
        raise
    except Exception as error:
        raise AuthenticationError(
            f"no token for {server}: the token provider raised {type(error).__name__}; check token_provider"
        ) from error
    extensions = "".join(f"\x01{name}={text}" for name, text in token.extensions.items())
    code, _, answer = wire.authenticate(f"n,,\x01auth=Bearer {token.value}{extensions}\x01\x01".encode())
    if code or answer:  # RFC 7628: an answer here is the reason of a failure
        raise AuthenticationError(
            f"{server} rejected the token: it has ended, begins later by the broker's clock, "
            "or is for another audience or issuer; check token_provider"
        )
