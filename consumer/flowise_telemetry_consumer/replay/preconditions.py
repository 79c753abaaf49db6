"""Checks before a replay starts: rows of different replays must not mix, and no topic is copied onto itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.replay.archive_mark import is_archive, unfinished_archives
from flowise_telemetry_consumer.replay.checkpoints import ReplayCheckpoint, list_runs
from flowise_telemetry_consumer.sinks.port import KeepsProgress, Readable, Sink
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport.ports import RecordReader, TopicAdmin

__all__ = ["require_another_topic", "require_finished", "require_own_rows"]


def require_own_rows(sink: Sink, run_id: str | None, *, resumes: bool) -> None:
    """Raise ``ConfigurationError`` if a new run would add to the rows of others in a staging sink.

    The tables that were live before ``promote`` hold such rows. A resumed run was checked when it began. Other attempts
    and shards of the same id may have written there: that is how a replay catches up before it is promoted. A replay
    from an archive has no id (None) and keeps no progress: it may add to rows that belong to no progress.
    """
    if resumes:
        return
    runs = list_runs(sink)
    sources = sink.progress() if isinstance(sink, KeepsProgress) else []
    if run_id is None:
        sources = [progress for progress in sources if not is_archive(progress)]
    others = len(sources) - sum(run.id == run_id for run in runs)
    if others == 0 and (runs or run_id is None):
        return
    rows = sum(sink.counts().values()) if isinstance(sink, Readable) else 0
    if rows:
        whose = "not from an archive" if run_id is None else f"not those of replay {run_id} alone"
        raise ConfigurationError(
            f"{sink.url} holds {rows} rows that are {whose}: drop its tables, or take another name", argument="staging"
        )


def require_finished(sink: Sink) -> None:
    """Raise ``SinkError`` if a replay into a staging sink did not reach its end: readers would lose the rest.

    Counts the latest attempt of each replay and shard, shards that never began, and replays of an archive.
    """
    runs = list_runs(sink)
    unfinished = [*_unfinished_runs(runs)]
    if isinstance(sink, KeepsProgress):
        if not runs and not sink.progress() and isinstance(sink, Readable) and set(sink.counts().values()) == {0}:
            unfinished.append("it holds no events, and nothing says that a replay read its range to the end")
        unfinished += [f"the replay of {source} did not reach its end" for source in unfinished_archives(sink)]
    if unfinished:
        raise SinkError(
            f"{sink.url} is unfinished: {'; '.join(unfinished)}; finish it first, or promote it as it is",
            argument="force",
        )


def _unfinished_runs(runs: Iterable[ReplayCheckpoint]) -> Iterator[str]:
    latest = {run.lock_name: run for run in sorted(runs, key=lambda run: run.attempt)}
    whole = {run.id for run in latest.values() if run.shard is None and run.finished}
    for run in latest.values():
        if not run.finished and not (run.shard is not None and run.id in whole):
            shard = "" if run.shard is None else f"shard {run.shard.number}/{run.shard.of} of "
            total = sum(run.offsets.ends[tp] - start for tp, start in run.offsets.starts.items())
            yield f"{shard}replay {run.id} has read {run.offsets_read:,} of {total:,} offsets"
        if left := sum(last - first for ranges in run.resolved.refused.values() for first, last in ranges):
            yield f"replay {run.id} left out what a rule refused, {left:,} of its events"
    divided = {(run.id, run.shard.of) for run in latest.values() if run.shard is not None and run.id not in whole}
    for run_id, of in sorted(divided):
        begun = {run.shard.number for run in latest.values() if run.id == run_id and run.shard and run.shard.of == of}
        if missing := sorted(set(range(1, of + 1)) - begun):
            yield f"shards {', '.join(map(str, missing))} of {of} of replay {run_id} never began"


def require_another_topic(
    topic: str, source: tuple[RecordReader, TopicAdmin], target: tuple[RecordReader, TopicAdmin]
) -> None:
    """Raise ``ConfigurationError`` if copying ``topic`` from one to the other would or might copy it onto itself.

    Topic ids (KIP-516) decide. If a client does not know them, the cluster ids must differ; if those are unknown too,
    the copy is refused. Raises ``BrokerUnavailableError``.
    """
    ids = source[0].topic_id(topic), target[0].topic_id(topic)
    if None not in ids:
        if ids[0] == ids[1]:
            raise _refusal(topic, "the target's servers belong to the cluster that is read", _MEND)
        return
    clusters = source[1].cluster_id(), target[1].cluster_id()
    if None in clusters:
        raise _refusal(
            topic,
            "the target may be the topic that is read, because a cluster reported no id",
            f"give the copy another name than {topic}",
        )
    if clusters[0] == clusters[1]:
        raise _refusal(
            topic,
            f"the target's servers belong to the cluster that is read (id {clusters[0]})",
            f"{_MEND} (if two clusters share one id, the librdkafka client can distinguish their topics)",
        )


_MEND = "name another topic, or the servers of another cluster"


def _refusal(topic: str, why: str, mend: str) -> ConfigurationError:
    return ConfigurationError(f"topic {topic} would be copied onto itself: {why}: {mend}", topic=topic, argument="sink")
