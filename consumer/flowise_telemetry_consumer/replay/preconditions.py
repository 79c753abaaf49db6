"""Checks before a replay starts: rows of different replays must not mix, and no topic is copied onto itself."""

from __future__ import annotations

from flowise_telemetry_consumer.replay.checkpoints import list_runs
from flowise_telemetry_consumer.sinks.port import KeepsProgress, Readable, Sink
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport.ports import RecordReader, TopicAdmin

__all__ = ["require_another_topic", "require_own_rows"]


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
    others = len(sources) - sum(run.id == run_id for run in runs)
    if others == 0 and (runs or run_id is None):
        return
    rows = sum(sink.counts().values()) if isinstance(sink, Readable) else 0
    if rows:
        whose = "not from an archive" if run_id is None else f"not those of replay {run_id} alone"
        raise ConfigurationError(
            f"{sink.url} holds {rows} rows that are {whose}: drop its tables, or take another name", argument="staging"
        )


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
