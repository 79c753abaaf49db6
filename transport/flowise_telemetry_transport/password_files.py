"""Files that hold one password each, as container platforms mount them."""

from __future__ import annotations

from pathlib import Path

from flowise_telemetry_schemas.errors import ConfigurationError

__all__ = ["read_password"]

_MAX_BYTES = 65_536


def read_password(path: str, argument: str) -> str:
    """Return the file's text without its last newline. Raises ``ConfigurationError`` that names file and setting."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it cannot be opened"
        raise ConfigurationError(f"{argument}: {path}: {why}", argument=argument) from None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = ""
    password = text.removesuffix("\n").removesuffix("\r")
    if not password or len(raw) > _MAX_BYTES:
        raise ConfigurationError(
            f"{argument}: {path} holds no password of at most {_MAX_BYTES} bytes", argument=argument
        ) from None
    return password
