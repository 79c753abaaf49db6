"""The folder of this user in which the choice, the local secret and the mark of the first-run notice are kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from flowise_telemetry import environment

__all__ = ["config_folder", "write_privately"]

_FOLDER = "flowise-telemetry"


def config_folder(environ: Mapping[str, str]) -> Path | None:
    """Where it is, whether or not it exists; None where this user has no home. Makes nothing."""
    if chosen := environ.get(environment.CONFIG_DIR, "").strip():
        return Path(chosen)
    base = environ.get("APPDATA" if os.name == "nt" else "XDG_CONFIG_HOME", "").strip()
    if base and Path(base).is_absolute():  # a relative one is to be ignored (XDG Base Directory Specification)
        return Path(base) / _FOLDER
    if home := environ.get("HOME", "").strip():
        return Path(home) / ".config" / _FOLDER
    try:
        return Path.home() / ".config" / _FOLDER
    except RuntimeError:
        return None


def write_privately(path: Path, text: str, *, replace: bool) -> bool:
    """Writes a file that only this user can read, all of it or nothing; makes the folder.

    With ``replace`` False a file that is there stays, and False is returned: of several processes that start at once,
    one wins and the others read what it wrote. Raises ``OSError``.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
            return True
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links: the race is then decided by who comes last
            if path.exists():
                return False
            draft.replace(path)
        return True
    finally:
        draft.unlink(missing_ok=True)
