"""What the HTTP servers of the service and of the gateway have in common: their address, and a token's file."""

from __future__ import annotations

from pathlib import Path

from flowise_telemetry_schemas.errors import ConfigurationError

__all__ = ["parse_http_address", "read_token"]

_MIN_TOKEN_CHARACTERS = 16


def parse_http_address(text: str, *, example: str, argument: str | None = None) -> tuple[str, int]:
    """Return host and port of ``host:port``, such as ``example``. Raises ``ConfigurationError`` of the ``argument``."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65_535:
        what = "HTTP address " if argument is None else ""
        raise ConfigurationError(f"{what}{text!r}: write host:port, such as {example}", argument=argument)
    return host, int(port)


def read_token(file: Path, *, argument: str) -> bytes:
    """Return the token in a file, which clients have to send. Raises ``ConfigurationError`` that names the file."""
    try:
        token = file.read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}", argument=argument) from None
    if len(token) < _MIN_TOKEN_CHARACTERS:
        raise ConfigurationError(
            f"{file} holds no token of at least {_MIN_TOKEN_CHARACTERS} characters", argument=argument
        )
    return token
