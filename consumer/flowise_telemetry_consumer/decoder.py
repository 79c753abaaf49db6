"""Records to frames, one per event, and to dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from flowise_telemetry_consumer.dead_letters import DeadLetter
from flowise_telemetry_consumer.frames import frame_of
from flowise_telemetry_schemas import Catalog, EventSchema
from flowise_telemetry_schemas.codec import decode_body, split
from flowise_telemetry_schemas.constraints import as_error, violations
from flowise_telemetry_schemas.errors import DecodeError
from flowise_telemetry_transport.types import Record

__all__ = ["Decoded", "Decoder"]


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of a list of records: each is a row of one frame or one dead letter.

    ``frames`` has one entry per event that occurs, with the columns of the newest version of its schema; its rows are
    in the order of the records. ``dead`` is in the order of the records too.
    """

    frames: Mapping[str, pl.DataFrame]
    dead: Sequence[DeadLetter]

    @property
    def rows(self) -> int:
        """How many records became rows."""
        return sum(frame.height for frame in self.frames.values())


class Decoder:
    """Decodes and checks records against the schemas of a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def decode(self, records: Sequence[Record]) -> Decoded:
        """The rows and the dead letters of ``records``. Raises nothing for what is in them."""
        good: dict[str, list[dict[str, Any]]] = {}
        dead: list[DeadLetter] = []
        for record in records:
            try:
                schema, body = split(record.value, self._catalog)
                latest = self._catalog.latest(schema.event)
                row = decode_body(schema, body, latest)
            except DecodeError as error:
                dead.append(DeadLetter.of_decode_error(record, error))
                continue
            if letter := _broken(record, schema, latest, row):
                dead.append(letter)
            else:
                good.setdefault(schema.event, []).append(row)
        return Decoded({event: frame_of(self._catalog.latest(event), good[event]) for event in sorted(good)}, dead)


def _broken(record: Record, schema: EventSchema, latest: EventSchema, row: Mapping[str, Any]) -> DeadLetter | None:
    found = violations(latest, row)
    return DeadLetter.of_violation(record, schema, as_error(schema.event, found)) if found else None
