"""A replay's dry run: read and decode the range, write nothing, and leave the sink uncreated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from flowise_telemetry_consumer.decoding.decoder import Decoded, Decoder
from flowise_telemetry_consumer.errors import OutageError, SinkError
from flowise_telemetry_consumer.reading.offset_range import OffsetRange, OffsetSpan
from flowise_telemetry_consumer.reading.range_reader import RangeReader
from flowise_telemetry_consumer.replay.checkpoints import ReplayCheckpoint, latest_run
from flowise_telemetry_consumer.replay.event_hashes import EventHashes, erasures_of
from flowise_telemetry_consumer.replay.filters import RecordFilter
from flowise_telemetry_consumer.replay.offsets import resolve
from flowise_telemetry_consumer.replay.report import add_missing
from flowise_telemetry_consumer.replay.request import ReplayRequest, Shard
from flowise_telemetry_consumer.retry import DEFAULT_CONTROL, RunControl, retry_until
from flowise_telemetry_consumer.sinks.erasures import Erasures
from flowise_telemetry_consumer.sinks.port import Readable, Sink
from flowise_telemetry_schemas import Catalog
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import Record, TopicPartition

__all__ = ["PartitionPlan", "ReplayPlan", "plan_replay"]


@dataclass(slots=True)
class PartitionPlan:
    """The contents of one partition's range; ``value_bytes`` is the size of the values of wanted records."""

    start: int
    end: int
    records: int = 0
    filtered: int = 0
    dead: int = 0
    gaps: int = 0
    value_bytes: int = 0
    missing: list[tuple[int, int]] = field(default_factory=list)
    held_back: tuple[int, int] | None = None


@dataclass(slots=True)
class ReplayPlan:
    """The work that a replay would do. ``events``, here by name, is ``records`` - ``filtered`` - ``dead``.

    ``already_there`` counts events that the sink has or that occur twice in the range, by a hash of their ids;
    ``erased`` those that it would leave out. With
    ``resumes``, the replay would resume an unfinished one and read only the rest. ``seconds`` is the time for reading
    and decoding; a replay also writes. ``sink_error`` says why the sink could not be read, and then counts as empty;
    ``incomplete`` says why the end was not reached.
    """

    topic: str
    run: str
    partitions: dict[TopicPartition, PartitionPlan]
    resumes: bool = False
    events: Counter[str] = field(default_factory=Counter)
    already_there: Counter[str] = field(default_factory=Counter)
    erased: Counter[str] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    sink_error: str | None = None
    incomplete: str | None = None

    @property
    def missing(self) -> Mapping[TopicPartition, list[tuple[int, int]]]:
        """Return the offsets that retention removed, of the partitions that have any."""
        return {tp: part.missing for tp, part in sorted(self.partitions.items()) if part.missing}

    @property
    def held_back(self) -> Mapping[TopicPartition, list[tuple[int, int]]]:
        """Return the offsets that an open transaction keeps from a replay, of the partitions that have any."""
        return {tp: [part.held_back] for tp, part in sorted(self.partitions.items()) if part.held_back}


def plan_replay(
    reader: RecordReader,
    sink: Sink,
    catalog: Catalog,
    request: ReplayRequest,
    *,
    shard: Shard | None = None,
    restart: bool = False,
    control: RunControl = DEFAULT_CONTROL,
) -> ReplayPlan:
    """Read the range and return what ``replay`` with the same request would do at this moment.

    Keeps eight bytes for each event in memory. Raises as ``replay``, but not ``SinkError``.
    """
    run_id = request.run_id(sink.url)
    sink_error: str | None = None
    latest: ReplayCheckpoint | None = None
    try:
        latest = latest_run(sink, run_id, shard)
    except SinkError as error:
        sink_error = error.message
    resumes = latest is not None and not latest.finished and not restart
    if latest is not None and resumes:
        # Its own bounds: "2d ago" is relative to when the run began.
        request = latest.request
        resolved, starts = latest.resolved, {tp: latest.position(tp) for tp in latest.offsets.starts}
    else:
        resolved = resolve(reader, request, shard)
        starts = dict(resolved.offsets.starts)
    offsets = OffsetRange(request.topic, starts, resolved.offsets.ends)
    plan = ReplayPlan(
        request.topic,
        run_id,
        {
            tp: PartitionPlan(
                start,
                offsets.ends[tp],
                missing=list(resolved.missing.get(tp, ())),
                held_back=resolved.held_back.get(tp),
            )
            for tp, start in starts.items()
        },
        resumes=resumes,
        sink_error=sink_error,
    )
    began = control.clock.monotonic()
    hashes = EventHashes()
    erasures = erasures_of(sink if sink_error is None else None)
    decoder = Decoder(catalog)
    source = RangeReader(reader, offsets, control, topic_id=resolved.topic_id)
    try:
        for poll in source:
            add_missing(plan.partitions, poll.missing)
            for span in poll.spans:
                choose = partial(_wanted, span, request.record_filter, catalog, decoder)
                chosen = retry_until(choose, control, what="the schema registry")
                _plan_span(span, *chosen, plan, request.record_filter, catalog, hashes, erasures)
    except OutageError as error:
        plan.incomplete = error.message
    if source.incomplete is not None:
        plan.incomplete = source.incomplete.message
    plan.seconds = control.clock.monotonic() - began
    plan.events, plan.already_there = hashes.counts + plan.erased, hashes.repeated()
    if sink_error is None and isinstance(sink, Readable):
        try:
            plan.already_there += hashes.found_in(sink)
        except SinkError as error:
            plan.sink_error = error.message
    return plan


def _wanted(
    span: OffsetSpan, record_filter: RecordFilter, catalog: Catalog, decoder: Decoder
) -> tuple[Sequence[Record], Decoded]:
    wanted = record_filter.filter_records(span.records, catalog)
    return wanted, decoder.decode(wanted)


def _plan_span(  # noqa: PLR0917 - one step of the loop above
    span: OffsetSpan,
    wanted: Sequence[Record],
    decoded: Decoded,
    plan: ReplayPlan,
    record_filter: RecordFilter,
    catalog: Catalog,
    hashes: EventHashes,
    erasures: Erasures,
) -> None:
    part = plan.partitions[span.partition]
    frames = record_filter.filter_rows(decoded.frames, catalog)
    dead = Counter(letter.reason for letter in (*decoded.dead, *span.unreadable))
    part.records += len(span.records) + len(span.unreadable)
    part.gaps += span.gaps
    part.dead += dead.total()
    part.filtered += len(span.records) - len(wanted) + decoded.rows - sum(frame.height for frame in frames.values())
    part.value_bytes += sum(len(record.value or b"") for record in wanted)
    plan.dead += dead
    kept, erased = erasures.keep(frames)
    plan.erased += Counter(erased)
    for event, frame in kept.items():
        hashes.add(event, frame["event_id"])
