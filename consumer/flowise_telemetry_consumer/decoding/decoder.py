"""Records to frames, one per event, and to dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.decoding.avro_block import columns_of
from flowise_telemetry_consumer.decoding.column_checks import rows_that_keep
from flowise_telemetry_consumer.decoding.frames import frame_of
from flowise_telemetry_consumer.decoding.schema_resolution import final_columns, resolved_columns
from flowise_telemetry_schemas import Catalog, EventSchema
from flowise_telemetry_schemas.codec import HEADER_BYTES, MARKER, MAX_VALUE_BYTES, decode_body, split
from flowise_telemetry_schemas.constraints import as_error, violations
from flowise_telemetry_schemas.errors import DecodeError
from flowise_telemetry_transport.types import Record

__all__ = ["BLOCK_ROWS", "Decoded", "Decoder"]

BLOCK_ROWS = 2048
"""How many records are decoded in one call: enough to make the call cheap, few enough to look for a bad one in them."""

# Below this a call for the block takes longer than the records do one by one.
_MIN_BLOCK_ROWS = 16


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of a list of records: each is a row of one frame or one dead letter.

    ``frames`` has one entry per event that occurs, with the columns of the newest version of its schema; its rows
    are in the order of the records. ``dead`` is in the order of the records too.
    """

    frames: Mapping[str, pl.DataFrame]
    dead: Sequence[DeadLetter]

    @property
    def rows(self) -> int:
        """How many records became rows."""
        return sum(frame.height for frame in self.frames.values())


@dataclass(slots=True)
class _Group:
    """Records that one schema wrote: their places in the list and their bodies."""

    places: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class _Rows:
    """The rows of one event as they are found, and from which places they came."""

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

    Records of one schema are decoded in blocks of ``block_rows``, to columns, and the constraints asked of the
    columns. A block with anything wrong in its bytes is halved until the bad records are nearly alone; these, and rows
    that may break a constraint, are done again record by record, which names what is wrong; with ``block_rows`` 0
    everything is. Both ways give the same.
    """

    def __init__(self, catalog: Catalog, *, block_rows: int = BLOCK_ROWS) -> None:
        self._catalog = catalog
        self._block_rows = block_rows

    def decode(self, records: Sequence[Record]) -> Decoded:
        """The rows and the dead letters of ``records``. Raises nothing for what is in them."""
        groups: dict[EventSchema, _Group] = {}
        dead: dict[int, DeadLetter] = {}
        # Nearly every record starts as one before it did: then there is nothing left for ``split`` to tell.
        known: dict[bytes, _Group] = {}
        for place, record in enumerate(records):
            value = record.value
            if value is not None and len(value) <= MAX_VALUE_BYTES:
                group = known.get(value[:HEADER_BYTES])
                if group is not None:
                    group.places.append(place)
                    group.bodies.append(value[HEADER_BYTES:])
                    continue
            try:
                schema, body = split(value, self._catalog)
            except DecodeError as error:
                dead[place] = DeadLetter.of_decode_error(record, error)
                continue
            group = groups.setdefault(schema, _Group())
            group.places.append(place)
            group.bodies.append(body)
            known[MARKER + schema.fingerprint] = group
        rows: dict[str, _Rows] = {}
        for schema, group in groups.items():
            self._decode_group(schema, group, records, rows.setdefault(schema.event, _Rows()), dead)
        return Decoded(
            {event: rows[event].in_order() for event in sorted(rows) if rows[event].places},
            [dead[place] for place in sorted(dead)],
        )

    def _decode_group(
        self, schema: EventSchema, group: _Group, records: Sequence[Record], rows: _Rows, dead: dict[int, DeadLetter]
    ) -> None:
        resolved = resolved_columns(schema, self._catalog.latest(schema.event)) if self._block_rows else None
        doubtful: Sequence[int] = range(len(group.places))
        if resolved is not None:
            doubtful = self._decode_blocks(schema, group, resolved, rows)
        self._decode_one_by_one(schema, [(group.places[at], group.bodies[at]) for at in doubtful], records, rows, dead)

    def _decode_blocks(
        self, schema: EventSchema, group: _Group, resolved: Sequence[pl.Expr], rows: _Rows
    ) -> Sequence[int]:
        """Adds the rows that are certainly good; returns which of the group are left to be looked at one by one."""
        whole, doubtful = _whole_blocks(schema, group.bodies, self._block_rows)
        if not whole:
            return doubtful
        latest = self._catalog.latest(schema.event)
        columns = pl.concat([columns for _, columns in whole]).select(resolved)
        at = [place for block, _ in whole for place in block]
        good = rows_that_keep(columns, latest)
        if not good.all():
            doubtful += [at[row] for row in (~good).arg_true()]
            at = [at[row] for row in good.arg_true()]
            columns = columns.filter(good)
        rows.add([group.places[place] for place in at], columns.select(final_columns(latest)))
        return doubtful

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
                dead[place] = DeadLetter.of_decode_error(records[place], error)
                continue
            found = violations(latest, row)
            if found:
                dead[place] = DeadLetter.of_violation(records[place], schema, as_error(schema.event, found))
            else:
                good.append(row)
                places.append(place)
        if good:
            rows.add(places, frame_of(latest, good))


def _whole_blocks(
    schema: EventSchema, bodies: Sequence[bytes], block_rows: int
) -> tuple[list[tuple[range, pl.DataFrame]], list[int]]:
    """Blocks of bodies, all of them good, with their columns, and the bodies that are in none.

    A bad body is looked for by halves, so that it does not cost the speed of the others.
    """
    whole: list[tuple[range, pl.DataFrame]] = []
    alone: list[int] = []
    blocks = [range(start, min(start + block_rows, len(bodies))) for start in range(0, len(bodies), block_rows)]
    while blocks:
        block = blocks.pop()
        if len(block) < _MIN_BLOCK_ROWS:
            alone += block
            continue
        columns = columns_of(schema, bodies[block.start : block.stop])
        if columns is None:
            half = len(block) // 2
            blocks += (block[:half], block[half:])
        else:
            whole.append((block, columns))
    return whole, alone
