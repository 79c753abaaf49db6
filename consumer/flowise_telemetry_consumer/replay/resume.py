"""Open a run: resume the unfinished one of a request, or begin a new one."""

from __future__ import annotations

from collections.abc import Sequence

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.errors import SinkInUseError, TopicChangedError
from flowise_telemetry_consumer.replay.checkpoints import (
    ReplayCheckpoint,
    latest_of,
    lock_name_of,
    require_own_request,
)
from flowise_telemetry_consumer.replay.offsets import resolve
from flowise_telemetry_consumer.replay.request import ReplayRequest, Shard
from flowise_telemetry_consumer.sinks.port import KeepsProgress, Sink
from flowise_telemetry_transport.ports import RecordReader

__all__ = ["acquire_lock", "open_run"]

_LOCK_WAIT_SECONDS = 3.0
_LOCK_RETRY_SECONDS = 0.2


def open_run(
    reader: RecordReader,
    sink: Sink,
    request: ReplayRequest,
    *,
    clock: Clock,
    shard: Shard | None = None,
    run_id: str | None = None,
    restart: bool = False,
) -> ReplayCheckpoint:
    """Return the latest run of the request if it is unfinished, else a new one; locked until the sink is closed.

    The sink has to be prepared. ``restart`` always begins a new run. Raises ``SinkInUseError`` if another process still
    has the lock after three seconds, and ``TopicChangedError`` if the topic was recreated since the unfinished run
    began.
    """
    run_id = run_id or request.run_id(sink.url)
    lock_name = lock_name_of(run_id, shard)
    if isinstance(sink, KeepsProgress):
        acquire_lock(sink, lock_name, clock)
    latest = latest_of(sink, lock_name)
    if latest is not None and not restart:
        require_own_request(sink, latest)
        if not latest.finished:
            _require_same_topic(reader, latest)
            return latest
    return ReplayCheckpoint(
        id=run_id,
        attempt=1 + (0 if latest is None else latest.attempt),
        sink_url=sink.url,
        request=request,
        resolved=resolve(reader, request, shard),
        started_at_ms=clock.now_ms(),
        shard=shard,
    )


def acquire_lock(sink: KeepsProgress, name: str, clock: Clock) -> None:
    """Acquire the lock; wait for one whose process was just killed, as a database server needs a moment to notice."""
    deadline = clock.monotonic() + _LOCK_WAIT_SECONDS
    while True:
        try:
            sink.lock(name)
        except SinkInUseError:
            if clock.monotonic() >= deadline:
                raise
            clock.sleep(_LOCK_RETRY_SECONDS)
        else:
            return


def _require_same_topic(reader: RecordReader, run: ReplayCheckpoint) -> None:
    topic = run.offsets.topic
    there = set(reader.partitions_of(topic))
    ends = reader.end_offsets(sorted(there & set(run.offsets.ends)))
    known, now = run.resolved.topic_id, reader.topic_id(topic)
    changed: Sequence[str] = [
        *(["its id has changed"] if known is not None and now is not None and known != now else []),
        *(f"it has no partition {tp.partition}" for tp in sorted(run.offsets.ends) if tp not in there),
        *(
            f"partition {tp.partition} ends at {end} now, not at {run.offsets.ends[tp]} as before"
            for tp, end in sorted(ends.items())
            if end < run.offsets.ends[tp]
        ),
    ]
    if changed:
        raise TopicChangedError(
            f"topic {topic} was deleted and created again since replay {run.id} began ({changed[0]}):"
            " restart it to read what there is now",
            topic=topic,
            argument="restart",
        )
