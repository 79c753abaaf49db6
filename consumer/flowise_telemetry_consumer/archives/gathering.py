"""What was read of one or many files until it is written together."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from flowise_telemetry_consumer.archives.json_lines import NO_EVENT, LineParser, Parsed
from flowise_telemetry_consumer.archives.own_lines import event_of, own_rows
from flowise_telemetry_consumer.archives.portion import PORTION_ROWS, Portion
from flowise_telemetry_consumer.archives.rejects import Reject
from flowise_telemetry_consumer.archives.text_file import Block
from flowise_telemetry_consumer.decoding.frames import frame_of
from flowise_telemetry_consumer.decoding.row_checks import check_rows
from flowise_telemetry_schemas import EventSchema
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["Gathering"]

_PORTION_BYTES = 16 * 1_048_576


@dataclass(slots=True)
class _Rows:
    """Rows of one event, as frames or as records yet, with their places among all lines."""

    places: list[int] = field(default_factory=list)
    frames: list[pl.DataFrame] = field(default_factory=list)
    record_places: list[int] = field(default_factory=list)
    records: list[Mapping[str, object]] = field(default_factory=list)

    def in_order(self, schema: EventSchema) -> pl.DataFrame:
        frames = [*self.frames, *([frame_of(schema, self.records)] if self.records else [])]
        places = pl.Series([*self.places, *self.record_places], dtype=pl.UInt32)
        frame = frames[0] if len(frames) == 1 else pl.concat(frames)
        return frame if places.is_sorted() else frame[places.arg_sort()]


class Gathering:
    """Lines and records that become one portion, of files that may be small."""

    def __init__(self, schemas: Mapping[str, EventSchema]) -> None:
        self._schemas = schemas
        self._lines: list[bytes] = []
        self._starts: list[int] = []
        self._blocks: list[tuple[LineParser, Block]] = []
        self._size_bytes = 0
        self._rows: dict[str, _Rows] = {}
        self._rejects: list[tuple[int, Reject]] = []
        self._read: Counter[str] = Counter()
        self._offsets: Mapping[TopicPartition, int] = {}
        self.recognised: set[str] = set()
        """Files of which some line has the shape of an event; known once ``portion`` was called."""

    @property
    def is_empty(self) -> bool:
        """Return whether nothing was added, not even the end of a file without lines."""
        return not self._offsets

    @property
    def is_due(self) -> bool:
        """Return whether it is large enough to be written."""
        return len(self._lines) >= PORTION_ROWS or self._size_bytes >= _PORTION_BYTES

    def add_lines(self, block: Block, parser: LineParser) -> None:
        """Add lines of JSON, which are decoded together later."""
        self._starts.append(len(self._lines))
        self._blocks.append((parser, block))
        self._lines += block.lines
        self._size_bytes += sum(map(len, block.lines))

    def add_records(self, found: Iterable[Parsed | Reject], source: str) -> None:
        """Add rows that are parsed already."""
        for one in found:
            self._add(len(self._lines), one, source)
            self._lines.append(b"")

    def move(self, offsets: Mapping[TopicPartition, int], size_bytes: int = 0) -> None:
        """Record where reading goes on; ``size_bytes`` is what the rows took that were added as records."""
        self._size_bytes += size_bytes
        self._offsets = offsets

    def portion(self, *, done: int, total: int) -> Portion:
        """Return everything, checked."""
        self._decode_lines()
        self._rejects.sort(key=lambda its: its[0])
        return Portion(
            frames={event: self._rows[event].in_order(self._schemas[event]) for event in sorted(self._rows)},
            rejects=[reject for _, reject in self._rejects],
            read=self._read,
            offsets=self._offsets,
            done=done,
            total=total,
        )

    def _decode_lines(self) -> None:
        groups: dict[bytes, list[int]] = {}
        others: list[int] = []
        for place, line in enumerate(self._lines):
            if (event := event_of(line)) is not None:
                groups.setdefault(event, []).append(place)
            elif line and not line.isspace():
                others.append(place)
        by_name = {schema.event.encode(): schema for schema in self._schemas.values()}
        for name, places in groups.items():
            others += self._decode_own(by_name[name], places) if name in by_name else places
        for place in sorted(others):
            at = bisect_right(self._starts, place) - 1
            parser, block = self._blocks[at]
            index = place - self._starts[at]
            is_cut = block.is_cut and index == len(block.lines) - 1
            found = parser.parse(self._lines[place], block.first + index, is_cut=is_cut)
            self._add(place, found, parser.source)

    def _decode_own(self, schema: EventSchema, places: Sequence[int]) -> Sequence[int]:
        """Add the lines that our sink wrote; return the places of the others."""
        own, frame = own_rows(schema, [self._lines[place] for place in places])
        if frame is None:
            return places
        where = [places[index] for index in own]
        checked = check_rows(schema, frame)
        self._read[schema.event] += frame.height
        bad = set()
        for row in checked.bad:
            place = where[row.number]
            bad.add(place)
            at = bisect_right(self._starts, place) - 1
            parser, block = self._blocks[at]
            line = block.first + place - self._starts[at]
            self._rejects.append(
                (place, Reject.of_violations(parser.source, row.violations, line=line, event=schema.event))
            )
        if checked.good.height:
            rows = self._rows.setdefault(schema.event, _Rows())
            rows.places += [place for place in where if place not in bad] if bad else where
            rows.frames.append(checked.good)
        for (parser, _), start, end in zip(
            self._blocks, self._starts, [*self._starts[1:], len(self._lines)], strict=True
        ):
            if bisect_left(where, start) < bisect_left(where, end):
                self.recognised.add(parser.source)
        if len(where) == len(places):
            return ()
        done = set(where)
        return [place for place in places if place not in done]

    def _add(self, place: int, one: Parsed | Reject, source: str) -> None:
        if not isinstance(one, Reject) or one.rule not in NO_EVENT:
            self.recognised.add(source)
        if isinstance(one, Reject):
            self._rejects.append((place, one))
            if one.event is not None:
                self._read[one.event] += 1
            return
        self._read[one.event] += 1
        rows = self._rows.setdefault(one.event, _Rows())
        rows.record_places.append(place)
        rows.records.append(one.record)
