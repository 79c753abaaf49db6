"""The tables beside the live ones that a replay fills: whose rows they may hold."""

from __future__ import annotations

from flowise_telemetry_consumer.replay.checkpoints import list_runs
from flowise_telemetry_consumer.sinks.port import KeepsProgress, Readable, Sink
from flowise_telemetry_schemas import ConfigurationError

__all__ = ["require_own_rows"]


def require_own_rows(sink: Sink, run_id: str | None, name: str, *, resumes: bool) -> None:
    """Raise ``ConfigurationError`` where a new run would add to the rows of others in ``staging(name)``.

    Such are the tables that were live before they were exchanged by ``promote``.

    ``sink`` is that one. A run that goes on is not asked. What other runs or shards of the same id wrote there may be
    added to: that is how a replay catches up before a swap. A replay from an archive has no id (None) and keeps no
    progress: it may add to rows of which no progress tells.
    """
    if resumes:
        return
    runs = list_runs(sink)
    sources = sink.progress() if isinstance(sink, KeepsProgress) else []
    others = len(sources) - sum(there.id == run_id for there in runs)
    if others == 0 and (runs or run_id is None):
        return
    rows = sum(sink.counts().values()) if isinstance(sink, Readable) else 0
    if rows:
        whose = "not of an archive" if run_id is None else f"not of replay {run_id} alone"
        raise ConfigurationError(
            f"--staging {name}: {sink.url} holds {rows} rows that are {whose}: drop its tables, or give another NAME"
        )
