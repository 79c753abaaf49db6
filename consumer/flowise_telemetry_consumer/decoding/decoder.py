"""Turn records into frames, one per event, and into dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.decoding.avro_block import ReadAvro, read_block
from flowise_telemetry_consumer.decoding.column_checks import rows_within_bounds
from flowise_telemetry_consumer.decoding.frames import frame_of, resolved_columns, typed_columns
from flowise_telemetry_consumer.decoding.framing import single_object
from flowise_telemetry_consumer.decoding.self_test import reader_is_exact
from flowise_telemetry_schemas import Catalog, EventSchema
from flowise_telemetry_schemas.codec import HEADER_BYTES, MARKER, MAX_VALUE_BYTES, decode_body, split
from flowise_telemetry_schemas.constraints import as_error, violations
from flowise_telemetry_schemas.errors import DecodeError
from flowise_telemetry_transport.types import Record

__all__ = ["BLOCK_ROWS", "Decoded", "Decoder"]

BLOCK_ROWS = 2048
"""Records decoded in one call: enough to make the call cheap, few enough to search for a bad record."""

# Decoding a smaller block takes longer than decoding its records one by one.
_MIN_BLOCK_ROWS = 16


@dataclass(frozen=True, slots=True)
class Decoded:
    """Decoded records: each is a row of one frame or one dead letter.

    ``frames`` has one entry per event that occurs, with the columns of the newest version of its schema; rows and
    ``dead`` are in the order of the records. ``one_by_one`` counts the records that were not decoded in a block.
    """

    frames: Mapping[str, pl.DataFrame]
    dead: Sequence[DeadLetter]
    one_by_one: int = 0

    @property
    def rows(self) -> int:
        """Number of records that became rows."""
        return sum(frame.height for frame in self.frames.values())


@dataclass(slots=True)
class _Group:
    """Records of one writer schema: their places in the list and their messages, which begin with its header."""

    places: list[int] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class _Rows:
    """Rows of one event as they are found, and the places of their records."""

    places: list[int] = field(default_factory=list)
    frames: list[pl.DataFrame] = field(default_factory=list)

    def add(self, places: Sequence[int], frame: pl.DataFrame) -> None:
        if places:
            self.places += places
            self.frames.append(frame)

    def in_order(self) -> pl.DataFrame:
        frame = pl.concat(self.frames)
        places = pl.Series(self.places, dtype=pl.UInt32)
        return frame if places.is_sorted() else frame[places.arg_sort()]


class Decoder:
    """Decodes and checks records against the schemas of a catalog.

    Records of one schema are decoded to columns in blocks of ``block_rows``, and the constraints checked on the
    columns. A block with anything wrong in its bytes is halved until the bad records are nearly alone. These, and rows
    that may break a constraint, are decoded again one by one, which names what is wrong. So is everything if
    ``block_rows`` is 0, or if ``read_avro`` fails the self-test, which logs a warning. Both ways give the same result.
    """

    def __init__(self, catalog: Catalog, *, block_rows: int = BLOCK_ROWS, read_avro: ReadAvro = pl.read_avro) -> None:
        self._catalog = catalog
        self._read_avro = read_avro
        self._block_rows = block_rows if block_rows and reader_is_exact(read_avro) else 0

    def decode(self, records: Sequence[Record]) -> Decoded:
        """Return the rows and the dead letters of ``records``. Raises nothing for their content.

        Raises a retryable error as long as the registry, which some may name their schema by, gives no answer.
        """
        groups: dict[EventSchema, _Group] = {}
        dead: dict[int, DeadLetter] = {}
        # Nearly every record has a header seen before, for which ``split`` is not needed.
        known: dict[bytes, _Group] = {}
        for place, record in enumerate(records):
            value = record.value or b""
            group = None if record.headers else known.get(value[:HEADER_BYTES])
            if group is None or len(value) > MAX_VALUE_BYTES:
                try:
                    message = single_object(record.value, record.headers, self._catalog)
                    schema, _ = split(message, self._catalog)
                except DecodeError as error:
                    dead[place] = DeadLetter.from_decode_error(record, error)
                    continue
                value = message or b""
                group = known[MARKER + schema.fingerprint] = groups.setdefault(schema, _Group())
            group.places.append(place)
            group.messages.append(value)
        rows: dict[str, _Rows] = {}
        one_by_one = 0
        for schema, group in groups.items():
            one_by_one += self._decode_group(schema, group, records, rows.setdefault(schema.event, _Rows()), dead)
        return Decoded(
            {event: rows[event].in_order() for event in sorted(rows) if rows[event].places},
            [dead[place] for place in sorted(dead)],
            one_by_one,
        )

    def record_of(self, event: str, row: pl.DataFrame, records: Sequence[Record]) -> tuple[Record, str] | None:
        """Return the first record that decodes to this row, and the name of its schema; None if there is none."""
        frame = self.decode(records).frames.get(event)
        if frame is None or row["event_id"][0] not in frame["event_id"]:
            return None
        if len(records) > 1:
            half = len(records) // 2
            return self.record_of(event, row, records[:half]) or self.record_of(event, row, records[half:])
        record = records[0]
        schema, _ = split(single_object(record.value, record.headers, self._catalog), self._catalog)
        return (record, f"{schema.event}.v{schema.version}") if frame.equals(row) else None

    def _decode_group(
        self, schema: EventSchema, group: _Group, records: Sequence[Record], rows: _Rows, dead: dict[int, DeadLetter]
    ) -> int:
        """Decode one group; return the number of records that were decoded one by one."""
        resolved = resolved_columns(schema, self._catalog.latest(schema.event)) if self._block_rows else None
        doubtful: Sequence[int] = range(len(group.places))
        if resolved is not None:
            doubtful = self._decode_blocks(schema, group, resolved, rows)
        alone = [(group.places[at], group.messages[at][HEADER_BYTES:]) for at in doubtful]
        self._decode_one_by_one(schema, alone, records, rows, dead)
        return len(doubtful)

    def _decode_blocks(
        self, schema: EventSchema, group: _Group, resolved: Sequence[pl.Expr], rows: _Rows
    ) -> Sequence[int]:
        """Add the rows that are certainly good; return the places in the group to be decoded one by one."""
        whole, doubtful = self._whole_blocks(schema, group.messages)
        if not whole:
            return doubtful
        latest = self._catalog.latest(schema.event)
        columns = pl.concat([columns for _, columns in whole]).select(resolved)
        at = [place for block, _ in whole for place in block]
        good = rows_within_bounds(columns, latest)
        if not good.all():
            doubtful += [at[row] for row in (~good).arg_true()]
            at = [at[row] for row in good.arg_true()]
            columns = columns.filter(good)
        rows.add([group.places[place] for place in at], columns.select(typed_columns(latest)))
        return doubtful

    def _whole_blocks(
        self, schema: EventSchema, messages: Sequence[bytes]
    ) -> tuple[list[tuple[range, pl.DataFrame]], list[int]]:
        """Return the blocks whose bodies are all good, with their columns, and the places of all others; both in order.

        A bad body is found by bisection, so that it does not slow the others down.
        """
        rows = self._block_rows
        whole: list[tuple[range, pl.DataFrame]] = []
        alone: list[int] = []
        header = MARKER + schema.fingerprint
        count = len(messages)
        # The last one is taken first: in order of the records, so that their rows need not be sorted.
        blocks = [range(start, min(start + rows, count)) for start in reversed(range(0, count, rows))]
        while blocks:
            block = blocks.pop()
            if len(block) < _MIN_BLOCK_ROWS:
                alone += block
                continue
            columns = read_block(schema, messages[block.start : block.stop], self._read_avro, header=header)
            if columns is None:
                half = len(block) // 2
                blocks += (block[half:], block[:half])
            else:
                whole.append((block, columns))
        return whole, alone

    def _decode_one_by_one(
        self,
        schema: EventSchema,
        bodies: Sequence[tuple[int, bytes]],
        records: Sequence[Record],
        rows: _Rows,
        dead: dict[int, DeadLetter],
    ) -> None:
        latest = self._catalog.latest(schema.event)
        good: list[dict[str, Any]] = []
        places: list[int] = []
        for place, body in bodies:
            try:
                row = decode_body(schema, body, latest)
            except DecodeError as error:
                dead[place] = DeadLetter.from_decode_error(records[place], error)
                continue
            found = violations(latest, row)
            if found:
                dead[place] = DeadLetter.from_violation(records[place], schema, as_error(schema.event, found))
            else:
                good.append(row)
                places.append(place)
        if good:
            rows.add(places, frame_of(latest, good))
