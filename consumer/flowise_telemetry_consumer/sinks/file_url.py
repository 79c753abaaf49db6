"""URLs that name a file: ``scheme:///relative`` and ``scheme:////absolute``."""

from __future__ import annotations

from pathlib import Path

from flowise_telemetry_schemas import ConfigurationError

__all__ = ["file_of"]


def file_of(url: str, scheme: str) -> Path:
    """The file of a URL. Everything after the third slash is the path, taken as it stands.

    Raises ``ConfigurationError`` that shows the two forms.
    """
    prefix = f"{scheme}:///"
    path = url.removeprefix(prefix)
    if not url.startswith(prefix) or not path or path.endswith("/"):
        raise ConfigurationError(f"a {scheme} sink is {prefix}relative/file or {prefix}/absolute/file")
    return Path(path)
