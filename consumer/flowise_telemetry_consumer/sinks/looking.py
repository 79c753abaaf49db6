"""A sink, looked at before anything is written to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flowise_telemetry_consumer.sinks.port import KeepsProgress, Readable, Sink
from flowise_telemetry_consumer.sinks.registry import open_sink, sink_kind
from flowise_telemetry_schemas import EventSchema, TelemetryError
from flowise_telemetry_transport.diagnosis.finding import Finding, failed, not_tried, ok

__all__ = ["look_at_sink", "look_by_reading"]


def look_at_sink(url: str, schemas: Sequence[EventSchema]) -> Iterator[Finding]:
    """Yield what is found of a sink, as far as its kind can tell without writing (``SinkKind.look``)."""
    try:
        look = sink_kind(url).look
        sink = open_sink(url, schemas)  # touches nothing; raises what its URL or a missing extra is refused with
        yield from look_by_reading(sink) if look is None else look(url, schemas)
    except TelemetryError as error:
        yield failed("sink", error, "see that it runs, and can be reached from here" if error.retryable else "")


def look_by_reading(sink: Sink) -> Iterator[Finding]:
    """Yield what reading tells, and close the sink. Raises as ``progress`` and ``counts``."""
    try:
        if isinstance(sink, KeepsProgress):
            yield ok("sink", f"{sink.url} can be read, and knows {len(sink.progress())} sources")
        elif isinstance(sink, Readable):
            yield ok("sink", f"{sink.url} can be read, and has {sum(sink.counts().values()):,} events")
        yield not_tried("sink: right", "this kind of sink tells it only when it is written to")
    finally:
        sink.close()
