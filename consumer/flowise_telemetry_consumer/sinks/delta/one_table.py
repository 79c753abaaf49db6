"""One table of a lake as a source: ``delta:///lake/prediction_sent``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.delta.sink import DeltaSink
from flowise_telemetry_consumer.sinks.port import Snapshot
from flowise_telemetry_schemas import EventSchema

__all__ = ["OneTable"]


class OneTable:
    """A table that is named after its event, whether or not the lake around it is ours."""

    def __init__(self, lake: DeltaSink, event: str, url: str) -> None:
        self._lake = lake
        self.event = event
        self._url = url

    @property
    def url(self) -> str:
        """The address of the table."""
        return self._url

    def know(self, schemas: Iterable[EventSchema]) -> None:
        """Take these for what the table may be of."""
        self._lake.know(schemas)

    def unknown_tables(self) -> list[str]:
        """Return nothing: others are not looked at."""
        return []

    def read(self, event: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """Yield the rows."""
        yield from self.snapshot().read(event, batch_rows=batch_rows)

    def counts(self) -> dict[str, int]:
        """Return the number of rows."""
        return self.snapshot().counts()

    def snapshot(self, name: str = "") -> Snapshot:
        """Return the state of this moment, or of an earlier one."""
        state = self._lake.snapshot(name, events=[self.event])
        if not state.counts():
            raise SinkError(f"{self._url} holds no table", event=self.event)
        return state

    def close(self) -> None:
        """Release what is in memory."""
        self._lake.close()
