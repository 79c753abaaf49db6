"""The user's folder for stored choices, the local secret and the mark that the first-run notice was shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from flowise_telemetry import environment

__all__ = ["OPT_OUT_TIME_FILE", "config_folder", "last_opt_out_ms", "write_privately"]

OPT_OUT_TIME_FILE = "last-opt-out"
_FOLDER = "flowise-telemetry"


def config_folder(environ: Mapping[str, str]) -> Path | None:
    """Return the folder, which may not exist yet; None if this user has no home. Creates nothing."""
    if chosen := environ.get(environment.CONFIG_DIR, "").strip():
        return Path(chosen)
    base = environ.get("APPDATA" if os.name == "nt" else "XDG_CONFIG_HOME", "").strip()
    if base and Path(base).is_absolute():  # XDG Base Directory Specification: ignore relative paths
        return Path(base) / _FOLDER
    if home := environ.get("HOME", "").strip():
        return Path(home) / ".config" / _FOLDER
    own = _home()
    return None if own is None else own / ".config" / _FOLDER


def _home() -> Path | None:
    if os.name != "nt" and not os.environ.get("HOME", "unset").strip():
        import pwd  # not on Windows

        try:
            return Path(pwd.getpwuid(os.getuid()).pw_dir)  # Path.home() takes a blank HOME for the root folder
        except KeyError:
            return None
    try:
        return Path.home()
    except RuntimeError:
        return None


def last_opt_out_ms(environ: Mapping[str, str]) -> int:
    """Return when the last opt-out was stored, in milliseconds since 1970; 0 if none ever was.

    A file that cannot be understood is later than everything, so that nothing from before it leaves.
    """
    folder = config_folder(environ)
    if folder is None:
        return 0
    try:
        return int((folder / OPT_OUT_TIME_FILE).read_text(encoding="ascii"))
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except (OSError, ValueError):
        return sys.maxsize


def write_privately(path: Path, text: str, *, replace: bool) -> bool:
    """Write a file that only this user can read, atomically; create the folder if needed.

    With ``replace`` False an existing file stays and False is returned: of several processes that start together, one
    wins and the others read what it wrote. Raises ``OSError``.
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
        except OSError:  # a file system without hard links: then the last of several processes wins
            if path.exists():
                return False
            draft.replace(path)
        return True
    finally:
        draft.unlink(missing_ok=True)
