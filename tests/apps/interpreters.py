"""The interpreters that the real programs run on: those of ``make test-apps``."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

import pytest

__all__ = ["INTERPRETERS", "IS_SMOKE", "has", "require", "version"]

INTERPRETERS = [path for path in os.environ.get("APP_PYTHONS", "").split(os.pathsep) if path] or [sys.executable]
IS_SMOKE = bool(os.environ.get("APP_SMOKE"))
"""True for fewer cases with fewer events, in two minutes: ``make test-apps SMOKE=1``."""


@functools.cache
def has(python: str, module: str) -> bool:
    """Return True if the module is installed for this interpreter."""
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


def require(python: str, *modules: str) -> None:
    """Skip the test where a module is not installed for this interpreter."""
    for module in modules:
        if not has(python, module):
            pytest.skip(f"{module} is not installed for {python}: make test-apps")


@functools.cache
def version(python: str) -> str:
    """Return the interpreter's version, ``3.12.1``."""
    code = "import platform; print(platform.python_version())"
    return subprocess.check_output([python, "-c", code], text=True).strip()
