"""The interpreters that the real programs run on: those of ``make test-apps``, else the one that runs the tests."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

import pytest

__all__ = ["INTERPRETERS", "require"]

INTERPRETERS = [path for path in os.environ.get("APP_PYTHONS", "").split(os.pathsep) if path] or [sys.executable]


@functools.cache
def _has(python: str, module: str) -> bool:
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


def require(python: str, *modules: str) -> None:
    """Skip the test where a module is not installed for this interpreter."""
    for module in modules:
        if not _has(python, module):
            pytest.skip(f"{module} is not installed for {python}: make test-apps")
