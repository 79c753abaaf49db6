"""Rows of CSV to records (RFC 4180): a header of our fields, a row for each event."""

from __future__ import annotations

import csv
import difflib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import PurePath

from flowise_telemetry_consumer.archives.json_lines import (
    NO_EVENT,
    LineFaultError,
    Parsed,
    json_of,
    record_or_reject,
    schema_of,
    text_of,
)
from flowise_telemetry_consumer.archives.rejects import Reject
from flowise_telemetry_consumer.archives.text_file import MAX_LINE_BYTES
from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_schemas import EventSchema, Field

__all__ = ["CsvRows", "event_of_path"]

_EVENT = "event"
_DELIMITERS = (",", ";", "\t")
_MAX_NAME_CHARACTERS = 64
_MAX_NUMBER_CHARACTERS = 20


def event_of_path(path: str, schemas: Mapping[str, EventSchema]) -> str | None:
    """Return the event that a file or a folder above it is named after.

    Such as ``tool_created.csv``, or ``tool_created/date=2026-01-31/part-00000.csv`` of an export.
    """
    file = PurePath(path)
    names = (file.name.partition(".")[0], *reversed(file.parent.parts))
    return next((name for name in names if name in schemas), None)


class CsvRows:
    """Parses and checks the rows of one file, block by block.

    The first line has the names of fields or columns, and of ``event`` unless all rows are of one ``event``. An empty
    cell is no value. Arrays and records are JSON. After a quote that is not closed, reading goes on with the next line.
    """

    def __init__(
        self, source: str, schemas: Mapping[str, EventSchema], *, event: str | None = None, make_ids: bool = False
    ) -> None:
        self._source = source
        self._schemas = schemas
        self._event = event
        self._make_ids = make_ids
        self._header: Sequence[str] = ()
        self._delimiter = ","
        self._waiting: deque[bytes] = deque()
        self._number = 1
        # Of the module, not of a reader: raised, never lowered, for an array of thousands of edges.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))

    def read_header(self, line: bytes) -> None:
        """Take the names of the columns. Raises ``SinkError`` for a line that is no header of ours."""
        try:
            text = text_of(line)
        except LineFaultError as fault:
            raise self._none_of_ours(fault.message) from None
        self._delimiter = max(_DELIMITERS, key=text.count)
        names = [name.strip() for name in next(csv.reader([text], delimiter=self._delimiter), [])]
        known = {other for schema in self._schemas.values() for field in schema.fields for other in _names(field)}
        for at, name in enumerate(names, start=1):
            if name not in known and name != _EVENT:
                close = difflib.get_close_matches(name, known, 1) if len(name) <= _MAX_NAME_CHARACTERS else []
                hint = f": did you mean {close[0]}?" if close else ""
                raise self._none_of_ours(f"column {at} is no field of an event{hint}")
        if len(set(names)) < len(names):
            raise self._none_of_ours("it has a column twice")
        if _EVENT not in names and self._event is None:
            raise self._none_of_ours("there is no column event: name the event of all rows", argument="event")
        self._header = names

    def add(self, lines: Sequence[bytes], first: int) -> None:
        """Add lines after the header, of which ``first`` is the number of the first."""
        if not self._waiting:
            self._number = first
        self._waiting += lines

    @property
    def waiting_bytes(self) -> int:
        """Return the size of the lines whose row does not end yet."""
        return sum(len(line) + 1 for line in self._waiting)

    def rows(self, *, at_end: bool) -> Iterator[Parsed | Reject]:
        """Yield the rows that end in the lines so far; ``at_end`` those that never end too."""
        while self._waiting:
            lines = self._lines_of_row()
            if not lines and not at_end:
                return
            number = self._number
            found = self._row(b"\n".join(islice(self._waiting, lines or 1)), number)
            if isinstance(found, Reject) and found.rule in NO_EVENT:
                lines = 1  # a stray quote takes no other line along
            for _ in range(lines or 1):
                self._waiting.popleft()
            self._number += lines or 1
            if found is not None:
                yield found

    def _lines_of_row(self) -> int:
        """Return how many lines the first row has; 0 if its quote is not closed yet."""
        is_open, size_bytes = False, 0
        for count, line in enumerate(self._waiting, start=1):
            is_open ^= line.count(b'"') % 2 == 1
            size_bytes += len(line)
            if not is_open:
                return count
            if size_bytes > MAX_LINE_BYTES:
                return 1
        return 0

    def _row(self, line: bytes, number: int) -> Parsed | Reject | None:
        if not line.strip():
            return None
        try:
            schema, properties = self._event_of_row(self._cells(text_of(line.removesuffix(b"\r"))))
        except LineFaultError as fault:
            return fault.reject(self._source, number)
        return record_or_reject(schema, properties, self._source, number, make_ids=self._make_ids)

    def _cells(self, text: str) -> Sequence[str]:
        try:
            (cells,) = csv.reader([text], delimiter=self._delimiter, strict=True)
        except (csv.Error, ValueError):
            raise LineFaultError("csv", "is no row: a quote is not closed, or stands inside a cell") from None
        if len(cells) != len(self._header):
            raise LineFaultError("csv", f"has {len(cells)} cells, and the header {len(self._header)}")
        return cells

    def _event_of_row(self, cells: Sequence[str]) -> tuple[EventSchema, Mapping[str, object]]:
        given = {name: cell for name, cell in zip(self._header, cells, strict=True) if cell}
        event = given.pop(_EVENT, None) or self._event
        if event is None:
            raise LineFaultError("required", "is missing", field=_EVENT)
        schema = schema_of(event, self._schemas)
        fields = {name: field for field in schema.fields for name in _names(field)}
        properties = {}
        for name, cell in given.items():
            try:
                properties[name] = _value(fields[name], cell) if name in fields else cell
            except LineFaultError as fault:
                raise LineFaultError(fault.rule, fault.message, field=fields[name].name, event=event) from None
        return schema, properties

    def _none_of_ours(self, why: str, *, argument: str | None = None) -> SinkError:
        return SinkError(f"{self._source} is no CSV of events: line 1: {why}", argument=argument)


def _names(field: Field) -> tuple[str, ...]:
    return field.name, field.column, *field.aliases


def _value(field: Field, cell: str) -> object:
    """Return the value that a cell stands for; text where it stands for none, which the checks will tell."""
    match field.kind:
        case "int" | "long":
            return int(cell) if _is_number(cell) else cell
        case "timestamp":
            return int(cell) if _is_number(cell) else cell
        case "boolean":
            return {"true": True, "false": False}.get(cell.lower(), cell)
        case "array" | "record":
            return json_of(cell)
        case _:
            return cell


def _is_number(cell: str) -> bool:
    digits = cell.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= _MAX_NUMBER_CHARACTERS
