"""What an export holds, in ``_export.json`` beside the folders of its events."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flowise_telemetry_consumer.errors import SinkError

__all__ = ["MANIFEST", "ExportedFile", "Manifest"]

MANIFEST = "_export.json"
"""Its name: readers of Parquet and CSV pass over names that begin with an underscore."""

_KIND, _KIND_VERSION = "flowise-telemetry export", 1


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One file: its path from the folder of its event, its size and the number of its rows."""

    path: str
    size_bytes: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """An export: ``id`` is random, ``source`` the address that was read, ``since_ms`` the bound on its events."""

    id: str
    source: str
    taken_at_ms: int
    file_format: str
    since_ms: int | None = None
    events: Mapping[str, Sequence[ExportedFile]] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """Return the number of rows by event."""
        return {event: sum(file.rows for file in files) for event, files in sorted(self.events.items())}

    def to_bytes(self) -> bytes:
        """Return it as it is stored: JSON, with a line for each file."""
        head = {
            "kind": _KIND,
            "version": _KIND_VERSION,
            "id": self.id,
            "source": self.source,
            "taken_at_ms": self.taken_at_ms,
            "format": self.file_format,
            "since_ms": self.since_ms,
            "rows": self.counts(),
        }
        files = [
            f"{json.dumps(event)}: ["
            + ",".join(f"\n{json.dumps([file.path, file.size_bytes, file.rows])}" for file in files)
            + "]"
            for event, files in sorted(self.events.items())
        ]
        return f'{json.dumps(head)[:-1]},\n"files": {{{",".join(files)}}}}}\n'.encode()

    @classmethod
    def of(cls, folder: Path) -> Manifest | None:
        """Return the manifest of a folder, or None if it has none. Raises ``SinkError`` if it cannot be read."""
        try:
            document = json.loads((folder / MANIFEST).read_bytes())
            if (document["kind"], document["version"]) != (_KIND, _KIND_VERSION):
                raise ValueError  # noqa: TRY301 - reported below, like any other content that is not ours
            return cls(
                id=str(document["id"]),
                source=str(document["source"]),
                taken_at_ms=int(document["taken_at_ms"]),
                file_format=str(document["format"]),
                since_ms=document["since_ms"],
                events={
                    event: [ExportedFile(str(path), int(size), int(rows)) for path, size, rows in files]
                    for event, files in document["files"].items()
                },
            )
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SinkError(f"{folder / MANIFEST} is not that of an export: make the export again") from error
