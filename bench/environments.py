"""Peers in environments of their own under ``bench/.venvs``: what they need must not get into ours."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

__all__ = ["BENCH", "python_of"]

BENCH = Path(__file__).parent
_ENVIRONMENTS = BENCH / ".venvs"
_INSTALL_TIMEOUT_SECONDS = 600


def python_of(peer: str) -> Path | None:
    """The interpreter with what ``bench/requirements/<peer>.txt`` pins; None, and why on stderr, where it cannot be."""
    folder = _ENVIRONMENTS / peer
    python = folder / "bin" / "python"
    requirements = BENCH / "requirements" / f"{peer}.txt"
    wanted = requirements.read_text()
    installed = folder / "installed.txt"
    if installed.exists() and installed.read_text() == wanted:
        return python
    _ENVIRONMENTS.mkdir(exist_ok=True)
    (_ENVIRONMENTS / ".gitignore").write_text("*\n")
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "-r", str(requirements)], check=False, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_SECONDS
    )
    if done.returncode:
        sys.stderr.write(f"{peer} cannot be installed and is left out: {done.stderr.strip()[-300:]}\n")
        return None
    installed.write_text(wanted)
    return python
