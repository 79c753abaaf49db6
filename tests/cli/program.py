"""The command as a user runs it: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Finished", "environment", "program", "start"]

TIMEOUT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Finished:
    """Exit status and what was printed."""

    status: int
    stdout: str
    stderr: str

    @property
    def errors(self) -> list[str]:
        """Lines on stderr."""
        return self.stderr.splitlines()


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """This process's environment without anyone's telemetry settings, with a home folder of its own."""
    kept = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name and name != "DO_NOT_TRACK"}
    return {**kept, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"), **variables}


def _command(arguments: tuple[str, ...], without: str | None) -> list[str]:
    hidden = f"sys.modules[{without!r}] = None; " if without else ""
    code = f"import sys; {hidden}from flowise_telemetry_cli import main; main()"
    return [sys.executable, "-c", code, *arguments]


def program(
    *arguments: str, folder: Path, stdin: bytes = b"", without: str | None = None, env: Mapping[str, str] | None = None
) -> Finished:
    """Run the command to its end. ``without`` names a library that is then not installed."""
    done = subprocess.run(
        _command(arguments, without),
        input=stdin,
        capture_output=True,
        cwd=folder,
        env=environment(folder, **(env or {})),
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())


def start(*arguments: str, folder: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start the command and let it run."""
    return subprocess.Popen(
        _command(arguments, None),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=environment(folder, **(env or {})),
        text=True,
    )
