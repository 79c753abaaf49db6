"""The folder of an export: written out of sight beside it, and renamed into place once it is whole."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.export.manifest import MANIFEST, Manifest
from flowise_telemetry_consumer.sinks.local_files import FileLocks, sync_path
from flowise_telemetry_schemas import ConfigurationError

__all__ = ["ExportPlace"]

_UNFINISHED = ".partial"


class ExportPlace:
    """One export on its way to ``out``. Nothing is at ``out``, or what was there before, until ``publish``.

    ``.<name>.exporting`` beside it has files that end in ``.partial``; a killed export leaves it, and the next one
    to the same place removes it. Replacing an export takes two renames; a kill between them is undone by the next one.
    """

    def __init__(self, out: Path, *, overwrite: bool) -> None:
        self.out = Path(os.path.realpath(out))
        self._overwrite = overwrite
        self._beside = self.out.parent / f".{self.out.name}.exporting"
        self._replaced = self.out.parent / f".{self.out.name}.replaced"
        self._locks = FileLocks(self._beside, url=str(out))
        self._files: list[Path] = []
        self._folders: set[Path] = set()
        self._is_open = False

    def open(self) -> None:
        """Make the folder beside. Raises ``ConfigurationError``, ``SinkError`` where ``out`` cannot be the place."""
        if self.out.is_mount():
            raise ConfigurationError(f"{self.out} is a mount point: name a folder in it", argument="out")
        if not self.out.parent.is_dir():
            raise ConfigurationError(f"make the folder {self.out.parent} first", argument="out")
        self._locks.take("export")
        if self._replaced.exists() and not self.out.exists():
            self._replaced.rename(self.out)
        self._require_free()
        for left in (self._beside, self._replaced):
            if left.exists():
                shutil.rmtree(left)
        self._beside.mkdir()
        self._is_open = True
        self._folders.add(self._beside)

    def write(self, path: str, data: bytes) -> None:
        """Write a file, by its path from ``out``, to the disk."""
        target = self._beside / path
        if target.parent not in self._folders:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._folders |= {target.parent, *(above for above in target.parents if self._beside in above.parents)}
        unfinished = target.with_name(target.name + _UNFINISHED)
        with unfinished.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self._files.append(target)

    def publish(self, manifest: Manifest) -> None:
        """Put the export in its place, whole."""
        self.write(MANIFEST, manifest.to_bytes())
        for file in self._files:
            file.with_name(file.name + _UNFINISHED).rename(file)
        for folder in sorted(self._folders, reverse=True):
            sync_path(folder)
        if self.out.exists():
            shutil.copymode(self.out, self._beside)
        if (self.out / MANIFEST).exists():
            self.out.rename(self._replaced)
        self._beside.rename(self.out)
        sync_path(self.out.parent)
        shutil.rmtree(self._replaced, ignore_errors=True)

    def close(self) -> None:
        """Remove what was not published, and let others in."""
        if self._is_open:
            shutil.rmtree(self._beside, ignore_errors=True)
        self._locks.release()

    def _require_free(self) -> None:
        if not self.out.exists():
            return
        if not self.out.is_dir():
            raise ConfigurationError(f"{self.out} is a file: name a folder", argument="out")
        if not any(self.out.iterdir()):
            return
        if Manifest.of(self.out) is None:
            raise ConfigurationError(
                f"{self.out} holds files that are no export: name a new folder or an empty one", argument="out"
            )
        if not self._overwrite:
            raise SinkError(f"{self.out} holds an export: name another folder, or replace it", argument="overwrite")
