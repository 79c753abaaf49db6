"""Import of files into a sink: history that did not come by a topic, each event once however often it is begun."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from flowise_telemetry_consumer.archives.file_archive import FILE, OFFSET, FileArchive, Format
from flowise_telemetry_consumer.archives.foreign_lines import Translate
from flowise_telemetry_consumer.archives.rejects import RejectsFile
from flowise_telemetry_consumer.archives.text_file import STANDARD_INPUT, TextFile
from flowise_telemetry_consumer.replay.archive_result import ArchiveResult
from flowise_telemetry_consumer.replay.filters import RecordFilter
from flowise_telemetry_consumer.replay.from_sink import advance_archive
from flowise_telemetry_consumer.replay.resume import acquire_lock
from flowise_telemetry_consumer.retry import DEFAULT_CONTROL, RunControl, retry_until
from flowise_telemetry_consumer.sinks.port import Batch, KeepsProgress, Sink
from flowise_telemetry_consumer.sinks.rows import newest
from flowise_telemetry_schemas import Catalog
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["ImportRequest", "import_archive", "import_files"]

_ID_CHARACTERS = 12
_END = TopicPartition("import", 2)
"""The place that is marked once all files are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """Files to import, by path, or ``-`` for standard input.

    Their names tell the format unless ``form`` does, and the event of rows of CSV which name none unless ``event``
    does. ``translate`` reads lines of another system. The filter's times are those of the events.
    """

    files: tuple[str, ...]
    form: Format | None = None
    event: str | None = None
    translate: Translate | None = None
    record_filter: RecordFilter = field(default_factory=RecordFilter)

    @property
    def is_resumable(self) -> bool:
        """Return whether the files can be read again from the middle."""
        return STANDARD_INPUT not in self.files

    def run_id(self, sink_url: str) -> str:
        """Return the id of an import of these files, as they are now, into the sink of this ``url``.

        A file that was changed since makes another id, so that the whole of it is read again.
        """
        files = [(str(Path(file).absolute()), TextFile(file).size_bytes(), _modified(file)) for file in self.files]
        chosen: list[str | None] = [self.form, self.event, repr(self.record_filter)]
        if self.translate is not None:
            chosen.append("translated")
        canonical = json.dumps([files, chosen, sink_url])
        return hashlib.sha256(canonical.encode()).hexdigest()[:_ID_CHARACTERS]


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of an import: the source under which the sink keeps its progress, and where it goes on."""

    source: str
    starts: Mapping[TopicPartition, int]


def import_archive(
    request: ImportRequest, catalog: Catalog, starts: Mapping[TopicPartition, int] | None = None
) -> FileArchive:
    """Return the files of a request as an archive. An event without an id gets one that its content decides."""
    return FileArchive(
        request.files,
        newest(catalog),
        starts=starts,
        make_ids=True,
        form=request.form,
        event=request.event,
        translate=request.translate,
    )


def import_files(
    request: ImportRequest,
    sink: Sink,
    catalog: Catalog,
    *,
    rejects: RejectsFile,
    restart: bool = False,
    control: RunControl = DEFAULT_CONTROL,
    on_resume: Callable[[], None] | None = None,
    on_report: Callable[[ArchiveResult], None] | None = None,
) -> ArchiveResult:
    """Write the events of files into a sink, and set aside in ``rejects`` what is none.

    Progress is kept in the sink's own transactions: an import that was killed goes on where it was when the same files
    are imported again, and its rejects are those of a run without a kill. A finished one, or with ``restart`` any,
    reads everything again; the sink recognises its events. Standard input, and a sink that keeps no progress, begin
    anew each time. Raises ``SinkError`` and ``ConfigurationError``, ``SinkInUseError`` if another process imports the
    same files.
    """
    sink.prepare(list(catalog))
    run = _Run("", {})
    if isinstance(sink, KeepsProgress) and request.is_resumable:
        acquire_lock(sink, name := f"import/{request.run_id(sink.url)}", control.clock)
        run = _run_of(name, sink, restart=restart)
        description = json.dumps({"import": [str(Path(file).absolute()) for file in request.files]})
        sink.claim(run.source, (FILE, OFFSET, _END), description=description)
    with closing(rejects):
        rejects.begin(_lines_kept(request.files, run.starts))
        if run.starts and on_resume is not None:
            on_resume()
        result = advance_archive(
            import_archive(request, catalog, run.starts),
            sink,
            catalog,
            request.record_filter,
            progress_source=run.source,
            control=control,
            on_report=on_report,
            on_rejects=rejects.keep,
        )
    if run.source and result.incomplete is None:
        end = Batch(frames={}, offsets={_END: 1}, source=run.source)
        retry_until(partial(sink.write, end), control, what="the sink")
    return result


def _run_of(name: str, sink: KeepsProgress, *, restart: bool) -> _Run:
    """Return the latest run of this name where it did not reach its end, else a new one."""
    attempts = {
        int(found[1]): progress.next_offsets
        for progress in sink.progress()
        if (found := re.fullmatch(rf"{re.escape(name)}/(\d+)", progress.source))
    }
    latest = max(attempts, default=0)
    if latest and not restart and _END not in attempts[latest]:
        return _Run(f"{name}/{latest}", dict(attempts[latest]))
    return _Run(f"{name}/{latest + 1}", {})


def _lines_kept(files: Sequence[str], starts: Mapping[TopicPartition, int]) -> Mapping[str | tuple[str, str], int]:
    """Return the number of the first line that is read of each file of an earlier run: its later rejects come again."""
    if not starts:
        return {}
    current = TextFile(files[starts[FILE]])
    kept: dict[str | tuple[str, str], int] = {TextFile(file).name: 2**63 for file in files[: starts[FILE]]}
    return {**kept, current.name: current.line_at(starts[OFFSET])}


def _modified(file: str) -> int:
    return Path(file).stat().st_mtime_ns if file != STANDARD_INPUT else 0
