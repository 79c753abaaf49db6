"""The place of a local file or folder, looked at before anything is written: is it there, ours, and has it room?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from flowise_telemetry_consumer.sinks.local_files import why_not_opened
from flowise_telemetry_transport.diagnosis.disk import look_at_disk
from flowise_telemetry_transport.diagnosis.finding import Finding, failed, ok

__all__ = ["look_at_place"]


def look_at_place(path: Path, url: str, *, is_folder: bool = False) -> Iterator[Finding]:
    """Yield whether a sink can be made or written there, and how much room there is. Nothing is made or opened."""
    folder = path.absolute().parent
    is_wrong_kind = path.exists() and path.is_dir() != is_folder
    if not folder.is_dir() or is_wrong_kind:
        why = "it is no folder, name one" if is_folder and is_wrong_kind else why_not_opened(path)
        yield failed("sink", f"{url} cannot be opened: {why}")
        return
    needed = (folder, path) if path.exists() else (folder,)  # the folder too: for locks and logs beside the file
    denied = [
        str(each) for each in needed if not os.access(each, os.R_OK | os.W_OK | (os.X_OK if each.is_dir() else 0))
    ]
    if denied:
        yield failed("sink: right", f"{' and '.join(denied)} may not be written by this user", "give it the rights")
    else:
        yield ok("sink: right", f"{url} {'may be written' if path.exists() else 'is made at the first start'}")
    yield look_at_disk("sink: disk", folder)
