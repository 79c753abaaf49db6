"""Records whose rows the sink refuses: found in their batch, named, and set aside where that is wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import polars as pl

from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_consumer.errors import RowRefusedError
from flowise_telemetry_consumer.sinks.account.letters import letters_for
from flowise_telemetry_consumer.sinks.parts import PartedWrite
from flowise_telemetry_consumer.sinks.port import Sink
from flowise_telemetry_consumer.sinks.refusals import Refusals
from flowise_telemetry_transport.types import Record

__all__ = ["RefusedRecords"]


class RefusedRecords:
    """The records of one batch, so that a row that is refused can be traced to its own.

    ``dead`` are dead letters of the batch already, which no row came from. ``spans`` tells the offsets of the
    batch, for the message. ``letters`` are the rows set aside so far, ``by_event`` counts them.
    """

    def __init__(
        self,
        decoder: Decoder,
        refusals: Refusals,
        records: Sequence[Record],
        dead: Iterable[DeadLetter],
        *,
        spans: Callable[[], str] | None = None,
    ) -> None:
        self.letters: list[DeadLetter] = []
        self.by_event: Counter[str] = Counter()
        self._decoder = decoder
        self._refusals = refusals
        self._records = records
        self._gone = {id(letter.record) for letter in dead}
        self._spans = spans

    def step(self, write: PartedWrite, *, counted_by: Sink | None = None) -> None:
        """Do a step of the write; go on without a row that is refused, if that is wanted.

        ``counted_by``: the sink whose account of dead letters such a row enters. Raises as ``PartedWrite.step``;
        ``RowRefusedError`` names rule, event, offset and batch.
        """
        try:
            write.step()
        except RowRefusedError as error:
            if not write.next_part:
                raise  # it is the account or the progress that is refused
            ((event, row),) = write.next_part.items()
            letter = self._set_aside(event, row, error)
            write.leave_out(None if counted_by is None else letters_for(counted_by, [letter]))

    def _set_aside(self, event: str, row: pl.DataFrame, error: RowRefusedError) -> DeadLetter:
        event_id = str(row["event_id"][0])
        found = self._record_of(event, row, event_id)
        offset = "" if found is None else " at {0.topic}[{0.partition}] offset {0.offset}".format(found[0])
        if found is None or not self._refusals.take():
            batch = "" if self._spans is None else f"; the batch is {self._spans()}"
            where = f"event {event_id}{offset}{batch}"
            raise RowRefusedError(f"{error.message}; {where}{self._refusals.why_not}") from error
        record, schema = found
        letter = DeadLetter.from_refusal(record, error, schema=schema)
        self.letters.append(letter)
        self.by_event[event] += 1
        self._gone.add(id(record))
        return letter

    def _record_of(self, event: str, row: pl.DataFrame, event_id: str) -> tuple[Record, str] | None:
        records = [record for record in self._records if id(record) not in self._gone]
        # Nearly always the id is the key, which is quick to find; but anyone may write other keys.
        likely = [record for record in records if record.key == event_id.encode()]
        return self._decoder.record_of(event, row, likely) or self._decoder.record_of(event, row, records)
