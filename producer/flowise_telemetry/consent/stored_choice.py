"""The choice that ``flowise-telemetry enable`` and ``disable`` keep for this user."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flowise_telemetry.consent.config_folder import config_folder, write_privately

__all__ = ["CHOICE_FILE", "StoredChoiceError", "choice_path", "read_choice", "write_choice"]

CHOICE_FILE = "choice"
_WORDS = {"enabled": True, "disabled": False}
_MAX_FILE_BYTES = 64


class StoredChoiceError(OSError):
    """The choice is there and cannot be read or understood, or there is no folder to keep one in."""


def choice_path(environ: Mapping[str, str]) -> Path | None:
    """Where the choice is or would be kept."""
    folder = config_folder(environ)
    return None if folder is None else folder / CHOICE_FILE


def read_choice(environ: Mapping[str, str]) -> bool | None:
    """True for enabled, False for disabled, None where none was stored. Raises ``StoredChoiceError``."""
    path = choice_path(environ)
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            word = file.read(_MAX_FILE_BYTES).decode("ascii", "replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise StoredChoiceError(f"{path} cannot be read") from error
    if word not in _WORDS:
        raise StoredChoiceError(f"{path} says neither enabled nor disabled")
    return _WORDS[word]


def write_choice(enabled: bool, environ: Mapping[str, str]) -> Path:
    """Stores the choice and returns where. Raises ``OSError`` where it cannot be written."""
    path = choice_path(environ)
    if path is None:
        raise StoredChoiceError("this user has no home folder: set FLOWISE_TELEMETRY_CONFIG_DIR")
    write_privately(path, "enabled\n" if enabled else "disabled\n", replace=True)
    return path
