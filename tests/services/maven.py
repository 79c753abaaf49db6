"""What Maven fetches for the tests, in the user's cache folder, and how it is run."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.services.ladder import RungUnavailableError

__all__ = ["SHORT_LIVED", "fetched"]

SHORT_LIVED = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Options of a JVM that runs for minutes: code is compiled once, and quickly. A broker takes half the CPU time so."""

_TIMEOUT_SECONDS = 600


def fetched(pom: Path, name: str) -> Path:
    """Return the folder with a POM's dependencies, fetched the first time. Raises ``RungUnavailableError``."""
    if not (shutil.which("java") and shutil.which("mvn")):
        raise RungUnavailableError("java and mvn are not both there")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flowise-telemetry-tests"
    folder = cache / name
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=cache))
    done = subprocess.run(
        ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={fresh}"],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        raise RungUnavailableError(f"Maven could not fetch {name}: {done.stdout.strip()[-300:]}")
    with contextlib.suppress(OSError):  # another run was faster: its folder is as good
        fresh.rename(folder)
    return folder
