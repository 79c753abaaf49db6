"""What databases in one file have in common: which file it is, and why it cannot be opened."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["identity_of", "why_not_opened"]


def identity_of(path: Path) -> tuple[int, int] | None:
    """Device and number of the file that has this name now; None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def why_not_opened(path: Path) -> str:
    """Why a file could not be opened and what to do about it, for the end of a message."""
    folder = path.absolute().parent
    if not folder.is_dir():
        return f"make the folder {folder} first"
    if path.is_dir():
        return "it is a folder, name a file"
    if path.exists():
        return "this user may not use the file"
    return "there is no such file" + ("" if os.access(folder, os.W_OK) else ", and this user may not make one there")
