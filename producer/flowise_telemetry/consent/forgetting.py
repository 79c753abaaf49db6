"""All that this installation keeps of itself, to be deleted at once."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flowise_telemetry import environment
from flowise_telemetry.config_folder import OPT_OUT_TIME_FILE, config_folder, write_privately
from flowise_telemetry.consent.env_file import read_env_file
from flowise_telemetry.identity.former_ids import ids_path, monthly_ids
from flowise_telemetry.identity.instance_id import secret_path
from flowise_telemetry.settings import ProducerSettings

__all__ = ["Kept", "kept_of"]


@dataclass(frozen=True, slots=True)
class Kept:
    """What an installation keeps: its monthly ids, newest first, and the files that ``forget`` deletes.

    ``spool_files`` are those of running apps, too, which send nothing more until they are restarted.

    ``given_by`` is the variable that sets the secret. ``forget`` cannot delete it, so the ids stay the same.
    """

    ids: tuple[tuple[str, str], ...]
    files: tuple[Path, ...]
    given_by: str | None
    environ: Mapping[str, str]
    spool_files: tuple[Path, ...]

    def forget(self) -> list[Path]:
        """Delete secret, kept ids, spool and ledger; return the files. Raises ``OSError``.

        What was accepted before now never leaves, not from the spool of a running app either.
        """
        folder = config_folder(self.environ)
        if folder is not None:
            write_privately(folder / OPT_OUT_TIME_FILE, f"{time.time_ns() // 1_000_000}\n", replace=True)
        deleted = []
        for path in self.files:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
                deleted.append(path)
        if self.spool_files:
            from flowise_telemetry.spool.files import remove_file

            for path in self.spool_files:
                remove_file(path)
            if left := [path for path in self.spool_files if path.exists()]:
                raise OSError(errno.EACCES, "cannot be deleted", str(left[0]))
        return [*deleted, *self.spool_files]


def kept_of(*, environ: Mapping[str, str] | None = None, env_file: str | Path | None = None) -> Kept:
    """Return what the installation keeps whose app runs with this environment. Changes nothing."""
    file = read_env_file(env_file)
    settings = ProducerSettings.read(os.environ if environ is None else environ, file.values, named=file.named)
    paths = [secret_path(settings.environ), ids_path(settings.environ), *_ledger_files(settings.ledger_path)]
    given = [
        name
        for name in (environment.INSTANCE_SECRET, environment.INSTANCE_SECRET_FILE)
        if settings.environ.get(name, "").strip()
    ]
    return Kept(
        ids=tuple(monthly_ids(settings.environ)),
        files=tuple(path for path in paths if path is not None and path.exists()),
        given_by=given[0] if given else None,
        environ=settings.environ,
        spool_files=_spool_files(settings.spool_dir),
    )


def _ledger_files(path: Path | None) -> list[Path]:
    if path is None:
        return []
    from flowise_telemetry.ledger import ledger_files

    return ledger_files(path)


def _spool_files(folder: Path | None) -> tuple[Path, ...]:
    if folder is None:
        return ()
    from flowise_telemetry.spool.files import spool_files

    return tuple(spool_files(folder))
