"""Schema files as they are in a commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import click

from flowise_telemetry_schemas import TelemetryError
from flowise_telemetry_schemas.released import Released, sha256_of

__all__ = ["files_at"]


def files_at(ref: str, folder: Path) -> dict[str, Released]:
    """Return what the schema files of a folder are at a tag or commit, by ``<event>/v<version>.avsc``.

    Raises ``UsageError`` for a name that git does not know, and ``TelemetryError`` without git.
    """
    if ref.startswith("-"):
        raise click.UsageError("--against takes a tag or a commit")
    listed = _git(folder, "ls-tree", "-r", "--name-only", ref, "--", ".").splitlines()
    names = [name for name in listed if name.endswith(".avsc")]
    if not names:
        raise click.UsageError(f"--against: {ref} has no schema files in {folder}")
    return {name: Released(ref, "", sha256_of(_git(folder, "show", f"{ref}:./{name}"))) for name in names}


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and no argument of ours is taken for an option
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - the git of whoever runs this
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
    except FileNotFoundError as error:
        raise TelemetryError("git is not installed: --against needs it") from error
    except subprocess.TimeoutExpired as error:
        raise TelemetryError("git has not answered for 60 s") from error
    if done.returncode:
        message = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "git failed"
        raise click.UsageError(f"--against: {message}")
    return done.stdout
