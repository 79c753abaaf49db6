"""The tables beside the live ones that a replay fills: whose rows they may hold."""

from __future__ import annotations

from flowise_telemetry_consumer.replay.runs import ReplayRun, list_runs
from flowise_telemetry_consumer.sinks.port import Sink
from flowise_telemetry_schemas import ConfigurationError

__all__ = ["require_own_rows"]


def require_own_rows(sink: Sink, run: ReplayRun, name: str) -> None:
    """Raises ``ConfigurationError`` where a new run would add to rows of others in ``beside(name)``, such as the tables
    that were live before a swap.

    ``sink`` is that one. A run that goes on is not asked. What other runs or shards of the same id wrote there may be
    added to: that is how a replay catches up before a swap.
    """
    runs = list_runs(sink)
    if any(there.source == run.source for there in runs):
        return
    is_own = all(there.id == run.id for there in runs) and len(runs) == len(sink.progress())
    if runs and is_own:
        return
    rows = sum(sink.counts().values())
    if rows:
        raise ConfigurationError(
            f"--into {name}: {sink.url} holds {rows} rows that are not of replay {run.id} alone:"
            " drop its tables, or give another NAME"
        )
