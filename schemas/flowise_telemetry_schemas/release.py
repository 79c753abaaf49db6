"""The release of this package: of the checkout, if it is one, or of what is installed."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path

__all__ = ["checkout", "package_release"]


def checkout() -> Path | None:
    """Return the root of the checkout that this package is part of; None where it is installed."""
    root = Path(__file__).parents[2]
    return root if (root / "pyproject.toml").is_file() and (root / "schemas").is_dir() else None


def package_release() -> str:
    """Return the version, such as ``0.1.0``. In a checkout ``pyproject.toml`` says it: metadata may be older."""
    root = checkout()
    if root is None:
        return version("flowise-telemetry")
    declared: str = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    return declared
