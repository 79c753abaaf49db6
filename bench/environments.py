"""Peers in environments of their own under ``bench/.venvs``: what they need must not get into ours."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from bench.size import SMOKE

__all__ = ["BENCH", "built_of", "python_of"]

BENCH = Path(__file__).parent
_ENVIRONMENTS = BENCH / ".venvs"
_INSTALL_TIMEOUT_SECONDS = 600
_BUILD_TIMEOUT_SECONDS = 3_600


def python_of(peer: str) -> Path | None:
    """The interpreter with what ``bench/requirements/<peer>.txt`` pins; None, and why on stderr, where it cannot be.

    None in a smoke, too.
    """
    if SMOKE:
        return None
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


@functools.cache
def built_of(peer: str) -> Path | None:
    """The program that cargo builds of ``bench/peers/<peer>``; None, and why on stderr, where it cannot be.

    None in a smoke, too. The first build takes some minutes: librdkafka is compiled, too.
    """
    if SMOKE:
        return None
    cargo = shutil.which("cargo")
    if cargo is None:
        sys.stderr.write(f"{peer} is left out: it needs cargo\n")
        return None
    _ENVIRONMENTS.mkdir(exist_ok=True)
    (_ENVIRONMENTS / ".gitignore").write_text("*\n")
    target = _ENVIRONMENTS / peer
    done = subprocess.run(
        [cargo, "build", "--release", "--quiet"],
        check=False,
        capture_output=True,
        text=True,
        cwd=BENCH / "peers" / peer,
        env={**os.environ, "CARGO_TARGET_DIR": str(target)},
        timeout=_BUILD_TIMEOUT_SECONDS,
    )
    if done.returncode:
        sys.stderr.write(f"{peer} cannot be built and is left out: {done.stderr.strip()[-300:]}\n")
        return None
    return target / "release" / peer.replace("_", "-")
