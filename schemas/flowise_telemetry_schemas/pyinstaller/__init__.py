"""Hooks for PyInstaller, which finds this folder by the entry point ``pyinstaller40``."""

from __future__ import annotations

__all__ = ["hook_dirs"]


def hook_dirs() -> list[str]:
    """Return the folder of the hooks."""
    return list(__path__)
