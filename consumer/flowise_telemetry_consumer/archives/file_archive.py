"""Files of events as one archive: JSON lines, CSV and another system's lines, plain or compressed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Literal, get_args

from flowise_telemetry_consumer.archives.csv_rows import CsvRows, event_of_path
from flowise_telemetry_consumer.archives.foreign_lines import ForeignLines, Translate
from flowise_telemetry_consumer.archives.gathering import Gathering
from flowise_telemetry_consumer.archives.json_lines import LineParser
from flowise_telemetry_consumer.archives.portion import Portion
from flowise_telemetry_consumer.archives.text_file import TextFile
from flowise_telemetry_consumer.errors import IncompleteReadError, SinkError
from flowise_telemetry_schemas import EventSchema
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["FILE", "FORMATS", "OFFSET", "FileArchive", "Format", "format_of"]

Format = Literal["jsonl", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)


def format_of(path: str) -> Format:
    """Return the format that a file's name tells, such as ``tool_created.csv.gz``; else JSON lines."""
    return "csv" if ".csv" in PurePath(path).suffixes else "jsonl"


FILE, OFFSET = TopicPartition("import", 0), TopicPartition("import", 1)
"""Places under which a sink keeps how far files were read: the number of the current one from 0, and the byte in it."""


class FileArchive:
    """Files that are read one after the other, each line once; small ones are written together.

    ``starts`` are the offsets of a portion, from which reading goes on. ``make_ids`` gives an event without an id one
    that its content decides. Names tell the formats unless ``form`` does; ``event`` is that of rows of CSV which name
    none. With ``translate`` all are lines of another system, which it reads. A file in which nothing has the shape of
    an event is refused, naming its first line.
    """

    def __init__(
        self,
        paths: Sequence[str],
        schemas: Mapping[str, EventSchema],
        *,
        starts: Mapping[TopicPartition, int] | None = None,
        make_ids: bool = False,
        form: Format | None = None,
        event: str | None = None,
        translate: Translate | None = None,
    ) -> None:
        self._forms = [form or format_of(path) for path in paths]
        self._events = [event or event_of_path(path, schemas) for path in paths]
        self._files = [TextFile(path) for path in paths]
        self._schemas = schemas
        self._first, self._start = (starts[FILE], starts[OFFSET]) if starts else (0, 0)
        self._make_ids = make_ids
        self._translate = translate
        self._recognised: set[str] = set()
        self._gathering = Gathering(schemas)
        self.url = self._files[0].name if len(paths) == 1 else f"{len(paths)} files"

    def counts(self) -> Mapping[str, int]:
        """Return nothing: a file says what it holds once it is read."""
        return {}

    def portions(self, events: Sequence[str]) -> Iterator[Portion]:
        """Yield all events, whichever are wanted.

        Raises ``IncompleteReadError`` where a file is damaged, once everything before the damage was yielded, and
        ``SinkError`` for a file that cannot be read or is none of events.
        """
        sizes = [file.size_bytes() for file in self._files]
        total = sum(sizes) if all(sizes) else 0
        done = 0
        damage: IncompleteReadError | None = None
        for number, file in enumerate(self._files):
            if number < self._first:
                done += sizes[number]
                continue
            try:
                for _ in self._read(file, number):
                    if self._gathering.is_due:
                        yield self._portion(done + file.done_bytes(), total)
            except IncompleteReadError as error:
                damage = error
                break
            done += sizes[number]
        if not self._gathering.is_empty:
            yield self._portion(done, total)
        if damage is not None:
            raise damage

    def _read(self, file: TextFile, number: int) -> Iterator[None]:
        """Gather the lines of a file, and pause where they may be written."""
        start = self._start if number == self._first else 0
        if start:
            self._recognised.add(file.name)
        if self._forms[number] == "csv":
            yield from self._read_csv(file, number, start)
            return
        if self._translate is not None:
            yield from self._read_foreign(file, number, start, self._translate)
            return
        parser = LineParser(file.name, self._schemas, make_ids=self._make_ids)
        for block in file.blocks(start):
            self._gathering.add_lines(block, parser)
            self._gathering.move({FILE: number, OFFSET: block.end})
            yield

    def _read_foreign(self, file: TextFile, number: int, start: int, translate: Translate) -> Iterator[None]:
        lines = ForeignLines(file.name, self._schemas, translate)
        for block in file.blocks(start):
            self._gathering.add_records(lines.read(block), file.name)
            self._gathering.move({FILE: number, OFFSET: block.end}, sum(map(len, block.lines)))
            if lines.has_left_out:
                self._recognised.add(file.name)
            yield

    def _read_csv(self, file: TextFile, number: int, start: int) -> Iterator[None]:
        rows = CsvRows(file.name, self._schemas, event=self._events[number], make_ids=self._make_ids)
        if start:
            rows.read_header(next(file.blocks()).lines[0])
        end, size_bytes = start, 0
        for block in file.blocks(start):
            lines = block.lines
            if not end:
                rows.read_header(lines[0])
                self._recognised.add(file.name)
                lines = lines[1:]
            rows.add(lines, block.first + len(block.lines) - len(lines))
            end, size_bytes = block.end, sum(map(len, lines))
            found = rows.rows(at_end=block.is_cut)
            self._gathering.add_records(found, file.name)
            self._gathering.move({FILE: number, OFFSET: end - rows.waiting_bytes}, size_bytes)
            yield
        if rows.waiting_bytes:
            self._gathering.add_records(rows.rows(at_end=True), file.name)
            self._gathering.move({FILE: number, OFFSET: end})
            yield

    def _portion(self, done: int, total: int) -> Portion:
        gathering, self._gathering = self._gathering, Gathering(self._schemas)
        portion = gathering.portion(done=done, total=total)
        self._recognised |= gathering.recognised
        for reject in portion.rejects:
            if reject.source not in self._recognised:
                raise SinkError(f"{reject.source} is no file of events: {reject}")
        return portion
