"""DuckDB's engine on a Delta lake in a folder, as of the last batch that was written whole."""

from __future__ import annotations

from dataclasses import replace

from flowise_telemetry_consumer.sinks.duckdb.lake import show_lake
from flowise_telemetry_consumer.sinks.duckdb.views import DIALECT
from flowise_telemetry_report.engines.duckdb import DuckdbRunner

__all__ = ["DeltaEngine", "open_delta"]


class DeltaEngine(DuckdbRunner):
    """Queries on one lake. Consumers may write meanwhile: what they add is not seen."""

    # Ids are text there; what is kept and compared often takes a third of the space and time as what it is.
    dialect = replace(
        DuckdbRunner.dialect, id="CAST({} AS UUID)", latest="CAST(max(CAST(event_id AS UUID)) AS VARCHAR)"
    )
    graphs = DIALECT  # of kept rows, which have ids as such and are in no folder of their day

    def __init__(self, url: str) -> None:
        super().__init__(url)
        try:
            with self._translated_errors():
                show_lake(self.db, url)
        except BaseException:
            self.close()
            raise


def open_delta(url: str) -> DeltaEngine:
    """Return the engine of a lake's URL. Raises ``SinkError`` for one that is not in a folder."""
    return DeltaEngine(url)
