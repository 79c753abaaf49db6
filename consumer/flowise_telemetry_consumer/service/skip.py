"""A deliberate jump forward: a group goes on behind records that it will never read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from flowise_telemetry_consumer.service.claim import CommitNote, sink_id_of
from flowise_telemetry_consumer.sinks.port import KeepsProgress, Sink
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport.errors import CommitRejectedError
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["Skip", "SkipTo", "leave_out"]

SkipTo = int | Literal["committed", "end"]

_COMMIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Skip:
    """A jump in one partition: offsets from ``start`` to before ``end`` are left out."""

    partition: TopicPartition
    start: int
    end: int


def leave_out(
    reader: RecordReader,
    sink: Sink,
    *,
    topic: str,
    group: str,
    to: SkipTo,
    partitions: Collection[int] = (),
    dry_run: bool = False,
) -> list[Skip]:
    """Have a group go on at an offset of each partition, and return what it leaves out.

    ``to`` may be ``end``, or ``committed``: where Kafka's own tools have set the group, which a consumer undoes
    otherwise, because its sink has less. ``partitions``: none means all of them. The group's consumers have to be
    stopped; its ``reader`` has not subscribed. Nothing is changed in the sink. Raises ``ConfigurationError`` for a
    partition that does not exist, for an offset past the end, and where the group has members; ``SinkError``.
    """
    if not isinstance(sink, KeepsProgress):
        raise ConfigurationError(
            f"{sink.url} keeps no progress: set the group's offsets with kafka-consumer-groups.sh", argument="sink"
        )
    known = {tp.partition: tp for tp in reader.partitions_of(topic)}
    if unknown := sorted(set(partitions) - known.keys()):
        raise ConfigurationError(f"topic {topic} has no partition {unknown[0]}", argument="partition")
    chosen = [known[number] for number in sorted(partitions or known)]
    kept = next((its for its in sink.progress() if its.source == group), None)
    held = {} if kept is None else kept.next_offsets
    begins, ends, commits = reader.beginning_offsets(chosen), reader.end_offsets(chosen), reader.commits(chosen)
    jumps = []
    for tp in chosen:
        commit = commits[tp]
        committed = begins[tp] if commit is None else commit.offset
        start = max(begins[tp], min(committed, held.get(tp, committed)))
        end = {"committed": committed, "end": ends[tp]}.get(str(to), to)
        assert isinstance(end, int)  # noqa: S101 - the words are replaced
        if end > ends[tp]:
            raise ConfigurationError(f"{topic}[{tp.partition}] ends at offset {ends[tp]}, before {end}", argument="to")
        if end > start or (to == "committed" and commit is not None):
            jumps.append(Skip(tp, start, max(start, end)))
    if not dry_run:
        sink_id = "" if kept is None else sink_id_of(kept) or ""
        reader.set_commit_metadata({tp: CommitNote(sink_id, held.get(tp)).text() for tp in chosen})
        try:
            reader.commit({jump.partition: jump.end for jump in jumps}, timeout_seconds=_COMMIT_SECONDS)
        except CommitRejectedError as error:
            raise ConfigurationError(
                f"group {group} has members: stop its consumers, wait for them to leave, and run it again",
                argument="group",
            ) from error
    return [jump for jump in jumps if jump.end > jump.start]
