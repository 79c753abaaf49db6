"""The names of sets of tables that stand beside the live ones."""

from __future__ import annotations

import re

from flowise_telemetry_schemas import ConfigurationError

__all__ = ["checked_name"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")


def checked_name(name: str) -> str:
    """The name, when it can be part of that of a table anywhere. Raises ``ConfigurationError`` that says what can."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"not a name for tables beside the live ones: {name[:40]!r}; it is 1 to 31 of a-z, 0-9, _, a letter first"
        )
    return name
