"""The user's choice, stored by ``flowise-telemetry enable`` and ``disable``, and the one made in the app's settings.

Each opt-out also leaves its time: what was accepted before never leaves, whatever is chosen later.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flowise_telemetry.config_folder import OPT_OUT_TIME_FILE, config_folder, write_privately

__all__ = [
    "APP_CHOICE_FILE",
    "CHOICE_FILE",
    "StoredChoice",
    "StoredChoiceError",
    "choice_path",
    "read_app_choice",
    "read_choice",
    "store_app_choice",
    "store_choice",
    "write_choice",
]

CHOICE_FILE = "choice"
APP_CHOICE_FILE = "app-choice"
_WORDS = {"enabled": True, "disabled": False}
_MAX_FILE_BYTES = 64


@dataclass(frozen=True, slots=True)
class StoredChoice:
    """Result of ``store_choice``: the file of the choice, and the files that were deleted."""

    enabled: bool
    path: Path
    deleted: tuple[Path, ...]


class StoredChoiceError(OSError):
    """The choice exists and cannot be read or understood, or there is no folder to store one in."""


def choice_path(environ: Mapping[str, str]) -> Path | None:
    """Return the file of the choice, which may not exist; None if this user has no home."""
    folder = config_folder(environ)
    return None if folder is None else folder / CHOICE_FILE


def read_choice(environ: Mapping[str, str]) -> bool | None:
    """Return True for enabled, False for disabled, None if none is stored. Raises ``StoredChoiceError``."""
    return _read(CHOICE_FILE, environ)


def read_app_choice(environ: Mapping[str, str]) -> bool | None:
    """Return the app's own choice, as ``read_choice`` does the user's."""
    return _read(APP_CHOICE_FILE, environ)


def _read(name: str, environ: Mapping[str, str]) -> bool | None:
    folder = config_folder(environ)
    if folder is None:
        return None
    path = folder / name
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


def write_choice(enabled: bool, environ: Mapping[str, str], name: str = CHOICE_FILE) -> Path:
    """Store the choice, and the time of an opt-out, and return its file. Raises ``OSError`` if it cannot be written."""
    folder = config_folder(environ)
    if folder is None:
        raise StoredChoiceError("this user has no home folder: set FLOWISE_TELEMETRY_CONFIG_DIR")
    path = folder / name
    write_privately(path, "enabled\n" if enabled else "disabled\n", replace=True)
    if not enabled:
        write_privately(folder / OPT_OUT_TIME_FILE, f"{time.time_ns() // 1_000_000}\n", replace=True)
    return path


def store_app_choice(enabled: bool, environ: Mapping[str, str]) -> None:
    """Store the app's own opt-out, or take it back, which touches no other. Raises ``OSError``."""
    if not enabled:
        write_choice(False, environ, APP_CHOICE_FILE)
    elif (folder := config_folder(environ)) is not None:
        (folder / APP_CHOICE_FILE).unlink(missing_ok=True)


def store_choice(
    enabled: bool, *, environ: Mapping[str, str] | None = None, env_file: str | Path | None = None
) -> StoredChoice:
    """Store the choice for this user. Disabling also deletes the local secret and the spooled events.

    The ids that the secret made are kept (``identity.former_ids``), for ``flowise-telemetry forget``.

    A running app notices within seconds, and drops the events it holds. Raises ``OSError`` if the choice cannot be
    written.
    """
    # Imported here: an app, which only reads the choice, needs none of it.
    from flowise_telemetry.consent.env_file import read_env_file
    from flowise_telemetry.identity.former_ids import keep_ids
    from flowise_telemetry.identity.instance_id import secret_path
    from flowise_telemetry.settings import ProducerSettings

    file = read_env_file(env_file)
    settings = ProducerSettings.read(os.environ if environ is None else environ, file.values, named=file.named)
    path = write_choice(enabled, settings.environ)
    deleted: list[Path] = []
    if not enabled:
        secret = secret_path(settings.environ)
        if secret is not None and secret.exists():
            keep_ids(settings.environ)
            secret.unlink()
            deleted.append(secret)
        if settings.spool_dir is not None:
            from flowise_telemetry.spool.files import delete_spool

            with contextlib.suppress(FileNotFoundError):
                deleted += delete_spool(settings.spool_dir)
    return StoredChoice(enabled, path, tuple(deleted))
