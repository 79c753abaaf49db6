"""Type checkers as an app's author runs them: in one process each, on one file that uses the installed packages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = ["CHECKERS", "Errors"]

Errors = Mapping[int, str]
"""By line, from 1, what the checker says about it."""

_TIMEOUT_SECONDS = 300


def mypy(file: Path) -> Errors:
    """Run ``mypy --strict``."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file=", file.name]
    done = subprocess.run(
        command, cwd=file.parent, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(rf"^{re.escape(file.name)}:(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    assert len(found) == done.stdout.count(": error: "), done.stdout
    return {int(line): message for line, message in found}


def pyright(file: Path) -> Errors:
    """Run basedpyright with pyright's own strict rules, except the one that refuses every bare expression."""
    (file.parent / "pyrightconfig.json").write_text(
        json.dumps({"typeCheckingMode": "strict", "reportUnusedExpression": False})
    )
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, file.name]
    done = subprocess.run(
        command, cwd=file.parent, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = [each for each in json.loads(done.stdout)["generalDiagnostics"] if each["severity"] == "error"]
    return {each["range"]["start"]["line"] + 1: each["message"] for each in found}


CHECKERS: Mapping[str, Callable[[Path], Errors]] = {"mypy": mypy, "pyright": pyright}
