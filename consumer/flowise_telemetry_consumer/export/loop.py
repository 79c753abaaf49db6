"""Write what a sink holds, or a part of it, to plain files."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.export.formats import encoded
from flowise_telemetry_consumer.export.manifest import ExportedFile, Manifest
from flowise_telemetry_consumer.export.parts import Parts
from flowise_telemetry_consumer.export.place import ExportPlace
from flowise_telemetry_consumer.retry import DEFAULT_CONTROL, RunControl
from flowise_telemetry_consumer.sinks.local_files import os_failure
from flowise_telemetry_consumer.sinks.port import HasSnapshots, Readable, Sink
from flowise_telemetry_schemas import Catalog, ConfigurationError, EventSchema

__all__ = ["ExportResult", "export_events"]

_BATCH_ROWS = 2_500


@dataclass(slots=True)
class ExportResult:
    """Rows of the source and those read; rows and files of the export by event.

    ``incomplete`` says why there is no export; None if there is one.
    """

    total: int = 0
    read: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    incomplete: str | None = None


def export_events(
    source: Sink,
    out: Path,
    catalog: Catalog,
    *,
    file_format: str = "parquet",
    events: Sequence[str] = (),
    since_ms: int | None = None,
    overwrite: bool = False,
    control: RunControl = DEFAULT_CONTROL,
    on_report: Callable[[ExportResult], None] | None = None,
) -> ExportResult:
    """Write the events of a sink to files ``<out>/<event>/date=<day>/part-<number>.<format>``, whole or not at all.

    ``events`` are names, by default all; ``since_ms`` leaves out what occurred before, in milliseconds since 1970. A
    sink that has snapshots is read as of one moment, others table after table. Memory is bounded, whatever the sink
    holds. Raises ``ConfigurationError`` for an event that is not known and a folder that cannot be used, ``SinkError``
    if the source refuses, or if ``out`` has an export and ``overwrite`` is not set.
    """
    unknown = sorted(set(events) - set(catalog.events))
    if unknown:
        raise ConfigurationError(
            f"there is no event {unknown[0]}; there are: {', '.join(catalog.events)}", argument="events"
        )
    if not isinstance(source, Readable):
        raise SinkError(f"{source.url} cannot be read back: name the place that a consumer wrote to", argument="sink")
    try:
        with closing(ExportPlace(out, overwrite=overwrite)) as place:
            place.open()
            state = source.snapshot() if isinstance(source, HasSnapshots) else source
            counts = state.counts()
            if not counts:
                raise SinkError(f"{source.url} has no tables: name the place that a consumer wrote to", argument="sink")
            wanted = {event: counts[event] for event in sorted(counts) if not events or event in events}
            result = ExportResult(sum(wanted.values()))
            written = {}
            for event, total in wanted.items():
                files = _EventFiles(place, catalog.latest(event), file_format)
                parts = Parts(files.write)
                for frame in state.read(event, batch_rows=_BATCH_ROWS) if total else ():
                    parts.add(frame if since_ms is None else frame.filter(_occurred_ms() >= since_ms))
                    result.read += frame.height
                    if on_report is not None:
                        on_report(result)
                    if control.stopped:
                        result.incomplete = "stopped before the end"
                        return result
                parts.close()
                written[event] = files.written
                result.rows[event] = sum(file.rows for file in files.written)
                result.files[event] = len(files.written)
            place.publish(
                Manifest(
                    id=secrets.token_hex(8),
                    source=source.url,
                    taken_at_ms=time.time_ns() // 1_000_000,
                    file_format=file_format,
                    since_ms=since_ms,
                    events=written,
                )
            )
    except OSError as error:
        raise os_failure(error, str(out)) from error
    return result


def _occurred_ms() -> pl.Expr:
    return pl.col("occurred_at").dt.epoch("ms")


class _EventFiles:
    """The files of one event, numbered within each day."""

    def __init__(self, place: ExportPlace, schema: EventSchema, file_format: str) -> None:
        self._place = place
        self._schema = schema
        self._format = file_format
        self._numbers: dict[str, int] = {}
        self.written: list[ExportedFile] = []

    def write(self, day: str, rows: pl.DataFrame) -> None:
        """Write one more file of a day."""
        number = self._numbers[day] = self._numbers.get(day, -1) + 1
        path = f"date={day}/part-{number:05}.{self._format}"
        data = encoded(self._schema, rows, self._format)
        self._place.write(f"{self._schema.event}/{path}", data)
        self.written.append(ExportedFile(path, len(data), rows.height))
