"""Redrive: send dead letters through the whole pipeline again once the cause of their failure is fixed."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.dead_letters.headers import decode, encode, encode_receipt, with_redrive_count
from flowise_telemetry_consumer.dead_letters.known_group import require_known_group
from flowise_telemetry_consumer.dead_letters.letter_filter import ALL_LETTERS, LetterFilter
from flowise_telemetry_consumer.dead_letters.reader import UnreadLetters, read_dead_letters
from flowise_telemetry_consumer.dead_letters.source_values import SourceValues
from flowise_telemetry_consumer.dead_letters.states import DeadLetterStates
from flowise_telemetry_consumer.dead_letters.stored import UNKNOWN, StoredDeadLetter
from flowise_telemetry_consumer.dead_letters.writer import DeadLetterBatch
from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_consumer.errors import IncompleteReadError
from flowise_telemetry_consumer.reading.batch import BatchLimits, RecordBatch
from flowise_telemetry_consumer.reading.offset_range import OffsetRange
from flowise_telemetry_consumer.retry import DEFAULT_CONTROL, RunControl, retry_until
from flowise_telemetry_consumer.sinks.parts import PartedWrite, WriteSize, write_all
from flowise_telemetry_consumer.sinks.port import Batch, Sink
from flowise_telemetry_consumer.sinks.refusals import OnRefused, Refusals
from flowise_telemetry_consumer.sinks.refused_records import RefusedRecords
from flowise_telemetry_schemas import Catalog, ConfigurationError
from flowise_telemetry_transport.ports import RecordReader, RecordWriter
from flowise_telemetry_transport.types import OutgoingRecord, Record

__all__ = ["DEFAULT_MAX_REDRIVES", "RedriveResult", "redrive"]

DEFAULT_MAX_REDRIVES = 5

_BATCH_LIMITS = BatchLimits(rows=5_000, size_bytes=32 * 1_048_576)
_FLUSH_SECONDS = 5.0


@dataclass(slots=True)
class RedriveResult:
    """Outcome for the dead letters that existed at the start.

    ``dead`` = ``written`` + ``already_there`` + ``erased`` (by event) + ``still_bad`` (by reason) + ``not_chosen`` +
    ``given_up`` (redriven too often already) + ``without_bytes`` (nothing to redrive: the client could not read them,
    or they were too large to be filed and the source topic no longer has them) + ``left`` (over the maximum, or not
    reached).
    ``fetched`` are those whose value came from the source topic. ``by_group`` counts the dead letters of every group,
    chosen or not. ``incomplete`` says why the end was not reached, ``unread`` how many records could not be read.
    """

    topic: str
    dead: int = 0
    written: Counter[str] = field(default_factory=Counter)
    already_there: Counter[str] = field(default_factory=Counter)
    erased: Counter[str] = field(default_factory=Counter)
    still_bad: Counter[str] = field(default_factory=Counter)
    not_chosen: int = 0
    given_up: int = 0
    without_bytes: int = 0
    fetched: int = 0
    left: int = 0
    by_group: Counter[str] = field(default_factory=Counter)
    incomplete: str | None = None
    unread: UnreadLetters = field(default_factory=UnreadLetters)

    @property
    def adds_up(self) -> bool:
        """True if every dead letter is accounted for."""
        decided = self.written.total() + self.already_there.total() + self.erased.total() + self.still_bad.total()
        return self.dead == decided + self.not_chosen + self.given_up + self.without_bytes + self.left


def redrive(
    reader: RecordReader,
    sink: Sink | None,
    writer: RecordWriter | None,
    catalog: Catalog,
    topic: str,
    *,
    chosen: LetterFilter = ALL_LETTERS,
    group: str | None = None,
    new_sink: bool = False,
    max_letters: int | None = None,
    max_redrives: int = DEFAULT_MAX_REDRIVES,
    open_source: Callable[[], RecordReader] | None = None,
    control: RunControl = DEFAULT_CONTROL,
    on_refused: OnRefused = "wait",
    on_report: Callable[[RedriveResult], None] | None = None,
) -> RedriveResult:
    """Decode the dead letters again and write those that are valid now into the sink.

    Reads up to the topic's end as of the start. Each source record is redriven once, from its latest dead letter. One
    that is valid now gets a receipt in the topic once the sink has it, and no longer counts. One that is still invalid
    gets a dead letter with the latest reason and ``dlq.redrive.count`` one higher, which supersedes the one before.
    After a crash, redrive again: the sink ignores events that it already holds.

    ``group``: only dead letters filed by this consumer group, whose sink it is. Without it all are redriven, provided
    that they are of one group: otherwise a receipt would claim that another group's sink has the record.

    The sink has to know the group, by the progress that the group's consumers left there, unless it is a ``new_sink``:
    the receipts would say of a sink with a mistyped name that the events have arrived.

    A batch that takes the sink too long is halved. A row that it refuses by a rule of others is waited for, as for an
    outage, or stays a dead letter, of the reason "refused", if ``on_refused`` is "dead-letter".

    ``open_source`` opens a second reader without a group, once a value that was too large to be filed has to be fetched
    from its source topic; it is closed again. Without it such dead letters are left.

    ``writer`` None: a dry run, which changes nothing and only asks ``sink``, if given, for the group; ``written`` then
    includes events that the sink may already hold. ``on_report`` is called with the result so far after each batch.
    Raises ``UnknownTopicError``, ``SinkError``, ``DeadLetterRefusedError``, and ``ConfigurationError`` before anything
    is done if a group has to be named, or the sink does not know it.
    """
    topic_id = reader.topic_id(topic)
    offsets = OffsetRange.of(reader, topic)
    with DeadLetterStates() as states, ExitStack() as opened:
        values = None if open_source is None else opened.enter_context(SourceValues(open_source, control))
        run = _Redrive(
            states, sink, writer, catalog, topic, control=control, on_refused=on_refused, on_report=on_report
        )

        def letters() -> Iterator[StoredDeadLetter]:
            return read_dead_letters(
                reader, topic, offsets=offsets, topic_id=topic_id, control=control, unread=run.result.unread
            )

        try:
            for letter in letters():
                states.add(letter)
            run.choose(group)
            if sink is not None and not new_sink and run.result.dead:
                retry_until(partial(require_known_group, sink, group or run.only_group), control, what="the sink")
            if sink is not None and writer is not None:
                sink.prepare(list(catalog))
            for letter in letters():
                if group is not None and letter.identity.group != group:
                    continue
                if not states.is_current(letter) or not run.wants(letter, chosen, max_redrives):
                    continue
                if max_letters is not None and run.taken >= max_letters:
                    break
                run.take(letter, values)
            run.flush()
        except IncompleteReadError as error:
            run.result.incomplete = error.message
        return run.result


class _Redrive:
    """One redrive: the current batch, and the outcome of those before it."""

    def __init__(
        self,
        states: DeadLetterStates,
        sink: Sink | None,
        writer: RecordWriter | None,
        catalog: Catalog,
        topic: str,
        *,
        control: RunControl,
        on_refused: OnRefused,
        on_report: Callable[[RedriveResult], None] | None,
    ) -> None:
        self.only_group: str | None = None
        self.result = RedriveResult(topic)
        self.taken = 0
        self._states = states
        self._sink = sink if writer is not None else None
        self._writer = writer
        self._decoder = Decoder(catalog)
        self._control = control
        self._refusals = Refusals(on_refused, clock=control.clock)
        self._size = WriteSize(control.clock.monotonic)
        self._on_report = on_report
        self._batch = RecordBatch()

    def choose(self, group: str | None) -> None:
        """Count the dead letters to redrive. Raises ``ConfigurationError`` if a group has to be named."""
        by_group = self.result.by_group = self._states.by_group
        # Dead letters without a group belong to no particular sink. A group without any left still has a sink.
        named = sorted(by_group.keys() - {UNKNOWN})
        if group is None and len(named) > 1:
            there = ", ".join(f"{name} ({by_group[name]:,})" for name in named)
            raise ConfigurationError(
                f"{self.result.topic} has dead letters of {len(named)} groups: {there}; "
                "name the one whose sink this is",
                topic=self.result.topic,
                argument="group",
            )
        self.only_group = named[0] if named else None
        self.result.dead = self.result.left = by_group.total() if group is None else by_group[group]

    def wants(self, letter: StoredDeadLetter, chosen: LetterFilter, max_redrives: int) -> bool:
        """Return whether to redrive a dead letter; count it if not."""
        if not chosen.admits(letter):
            self.result.not_chosen += 1
        elif letter.redrive_count >= max_redrives:
            self.result.given_up += 1
        else:
            return True
        self.result.left -= 1
        return False

    def take(self, letter: StoredDeadLetter, values: SourceValues | None) -> None:
        """Add a dead letter to the batch, and flush the batch once it is full; count one that has no value anywhere."""
        if letter.lacks_bytes:
            whole = None if values is None else values.restore(letter)
            if whole is None:
                self.result.without_bytes += 1
                self.result.left -= 1
                return
            letter = whole
            self.result.fetched += 1
        self.taken += 1
        self._batch.add([_source_record(letter)], now=self._control.clock.monotonic())
        if self._batch.is_full(_BATCH_LIMITS):
            self.flush()

    def flush(self) -> None:
        """Write the batch: valid events into the sink, then receipts and new dead letters into the topic."""
        records, self._batch = self._batch.records, RecordBatch()
        if not records:
            return
        decoded = retry_until(partial(self._decoder.decode, records), self._control, what="the schema registry")
        rows = {event: frame.height for event, frame in decoded.frames.items()}
        written, duplicates, erased = Counter(rows), Counter[str](), Counter[str]()
        dead = decoded.dead
        if self._sink is not None and decoded.frames:
            write = PartedWrite(self._sink, Batch(frames=decoded.frames), self._size)
            refused = RefusedRecords(self._decoder, self._refusals, records, dead)
            write_all(write, refused.step, self._control)
            written, duplicates, erased = write.counts
            dead = [*dead, *refused.letters]
        if self._writer is not None:
            # One that was fetched from its source and is still bad is still too large.
            follow_ups = DeadLetterBatch(self._writer, self._follow_ups(records, dead), on_cut=lambda _: None)
            retry_until(
                partial(follow_ups.deliver, timeout_seconds=_FLUSH_SECONDS), self._control, what="the dead-letter topic"
            )
        self.result.written += written
        self.result.already_there += duplicates
        self.result.erased += erased
        self.result.still_bad += Counter(letter.reason for letter in dead)
        self.result.left -= len(records)
        if self._on_report is not None:
            self._on_report(self.result)

    def _follow_ups(self, records: Sequence[Record], dead: Iterable[DeadLetter]) -> list[OutgoingRecord]:
        """Return a new dead letter for each record that is still bad, and a receipt for each of the others."""
        topic, now_ms = self.result.topic, self._control.clock.now_ms()
        bad = {decode(letter.record).identity: letter for letter in dead}
        stored = [decode(record) for record in records]
        return [
            # Of the same group as before: its sink still lacks the record.
            *(
                encode(
                    letter,
                    topic=topic,
                    group=key.group,
                    failed_at_ms=now_ms,
                    redrive_count=decode(letter.record).redrive_count,
                )
                for key, letter in bad.items()
            ),
            *(encode_receipt(letter, topic=topic, at_ms=now_ms) for letter in stored if letter.identity not in bad),
        ]


def _source_record(letter: StoredDeadLetter) -> Record:
    """Return the source record as it was read, with its redrive counted; the dead letter's identity is unchanged."""
    source = letter.identity
    return dataclasses.replace(
        letter.record,
        topic=source.topic,
        partition=source.partition,
        offset=source.offset,
        # Not the dead letter's own timestamp: its topic may be set to LogAppendTime.
        timestamp_ms=-1 if source.timestamp_ms is None else source.timestamp_ms,
        headers=with_redrive_count(letter.record.headers, letter.redrive_count + 1),
    )
